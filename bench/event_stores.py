"""Ways to append one event, each as its own documentation says: ours with every check, and those beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg2
from eventsourcing.persistence import InfrastructureFactory, StoredEvent
from eventsourcing.utils import Environment
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import parse_dsn

from store.append import AppendCommand, Idempotency, NewEvent
from store.log import EventLog
from store.new_ids import new_id

RECORD = b'{"data":"' + b"x" * 400 + b'"}'
Append = Callable[[], object]


def command(*, remembered: bool = False) -> AppendCommand:
    """Return a command with one event of 411 bytes on a new stream, for a person and a scope that may be fenced."""
    event = NewEvent(new_id(), new_id(), 1, "Benched", RECORD)
    answer = {"id": str(event.stream_id)}
    outcome = Idempotency(new_id().hex, "bench", b"m" * 32, "day", 201, answer) if remembered else None
    return AppendCommand((event,), {event.stream_id: 0}, frozenset({new_id(), new_id()}), idempotency=outcome)


@contextmanager
def ours(dsn: str, *, remembered: bool = False) -> Iterator[Append]:
    """Give our append; ``remembered``: with an idempotency key, whose outcome is kept."""
    with EventLog(dsn) as log:
        yield lambda: log.append(command(remembered=remembered))


@contextmanager
def library(dsn: str, *, functions: bool = False) -> Iterator[Append]:
    """Give the eventsourcing library's own recorder (psycopg 3, its defaults), or its best mode."""
    parts = parse_dsn(dsn)
    settings = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts["dbname"],
        "POSTGRES_HOST": parts["host"],
        "POSTGRES_PORT": parts["port"],
        "POSTGRES_USER": parts["user"],
        "POSTGRES_PASSWORD": parts["password"],
        "POSTGRES_ENABLE_DB_FUNCTIONS": "y" if functions else "n",
    }
    # The recorder keeps its own name for tables; both modes write to the same one.
    with InfrastructureFactory.construct(Environment("bench", settings)) as factory:
        recorder = factory.application_recorder()
        yield lambda: recorder.insert_events([StoredEvent(new_id(), 1, "Benched", RECORD)])


@contextmanager
def event_sourcery(dsn: str) -> Iterator[Append]:
    """Give python-event-sourcery on SQLAlchemy: a session and a transaction per append, as in a web request.

    Raises ``ImportError`` where it is not installed (extra ``bench``).
    """
    from event_sourcery import StreamId
    from event_sourcery.event import Event
    from event_sourcery_sqlalchemy import SQLAlchemyBackend, configure_models
    from sqlalchemy import create_engine
    from sqlalchemy.orm import DeclarativeBase, Session

    class Base(DeclarativeBase):
        pass

    class Benched(Event):
        data: str

    configure_models(Base)
    parts = parse_dsn(dsn)
    url = "postgresql+psycopg2://{user}:{password}@{host}:{port}/{dbname}".format(**parts)
    engine = create_engine(url, pool_size=16)
    Base.metadata.create_all(engine)
    backend = SQLAlchemyBackend()

    def append() -> None:
        with Session(engine) as session:
            store = backend.copy().configure(session).event_store
            store.append(Benched(data="x" * 400), stream_id=StreamId(new_id()))
            session.commit()

    try:
        yield append
    finally:
        engine.dispose()


@contextmanager
def plain_rows(dsn: str) -> Iterator[Append]:
    """Give an unchecked one-row insert in autocommit (psycopg2), a connection per thread."""
    own = threading.local()
    opened: list[Connection] = []
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS plain_rows (position bigserial PRIMARY KEY, id uuid, record bytea)")

    def append() -> None:
        if not hasattr(own, "cursor"):
            opened.append(psycopg2.connect(dsn))
            opened[-1].autocommit = True
            own.cursor = opened[-1].cursor()
        own.cursor.execute("INSERT INTO plain_rows (id, record) VALUES (%s, %s)", (str(new_id()), RECORD))

    try:
        yield append
    finally:
        for connection in opened:
            connection.close()


_LOCK = "SELECT position, admitted_for IS NOT DISTINCT FROM log_incarnation() FROM log_head FOR UPDATE"
_KNOWN = "SELECT 1 FROM events WHERE event_id = %s"
_FENCED = "SELECT fenced_id FROM fences WHERE fenced_id = ANY (%s::uuid[])"
_VERSION = "SELECT version FROM events WHERE stream_id = %s ORDER BY version DESC LIMIT 1"
_INSERT = "INSERT INTO events (position, event_id, stream_id, version, type, record) VALUES (%s, %s, %s, %s, %s, %s)"


@contextmanager
def checking_client(dsn: str) -> Iterator[Append]:
    """Give psycopg2 making the same checks on the same tables itself: one transaction per command; for one thread."""
    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:

        def append() -> None:
            made = command()
            [event] = made.events
            with connection:
                cursor.execute(_LOCK)
                head, admitted = cursor.fetchone()
                cursor.execute(_KNOWN, (str(event.event_id),))
                known = cursor.fetchone()
                cursor.execute(_FENCED, ([str(used) for used in made.uses],))
                fenced = cursor.fetchall()
                cursor.execute(_VERSION, (str(event.stream_id),))
                if not admitted or known or fenced or cursor.fetchone():
                    raise RuntimeError("a new event was refused")
                identity = (head + 1, str(event.event_id), str(event.stream_id))
                cursor.execute(_INSERT, (*identity, event.version, event.type, event.record))
                cursor.execute("UPDATE log_head SET position = %s", (head + 1,))
                cursor.execute("SELECT pg_notify('casekeeper_log', %s)", (str(head + 1),))

        yield append
