"""What callers are told while writing is refused: never that nothing was done when something may have been."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from cutting_proxy import CuttingProxy
from psycopg2.extensions import parse_dsn
from store_builders import command, event, history, idempotency, rows, sql, stored_ids

from domain.errors import AlreadyDone, OutcomeUnknown, StoreUnavailable
from store.append import Appended
from store.appender import Appender
from store.log import EventLog
from store.migrate import migrate


@pytest.fixture
def own_dsn(pg_main: str, new_database: Callable[..., str]) -> str:
    """Return the connection string of an event store in a database of its own, which takes writes."""
    dsn = new_database(pg_main, "read_only")
    migrate(dsn)
    with EventLog(dsn) as log:
        log.admit_writes(log.admission().incarnation, 0)
    return dsn


@pytest.fixture
def proxy(own_dsn: str) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(own_dsn)
    yield proxy
    proxy.close()


def make_read_only(dsn: str) -> None:
    """Make new sessions read-only and end those there are."""
    with sql(dsn) as cursor:
        cursor.execute(f"ALTER DATABASE {parse_dsn(dsn)['dbname']} SET default_transaction_read_only = on")
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        cursor.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")


def make_writable(dsn: str) -> None:
    """Make new sessions writable; those there are stay as they were made."""
    with sql(dsn) as cursor:
        cursor.execute("SET default_transaction_read_only = off")
        cursor.execute(f"ALTER DATABASE {parse_dsn(dsn)['dbname']} RESET default_transaction_read_only")


def test_a_session_made_while_the_database_was_read_only_is_not_kept(own_dsn: str) -> None:
    with EventLog(own_dsn, readers=1) as log:
        make_read_only(own_dsn)
        incarnation = log.admission().incarnation
        for write in (lambda: log.append(history(uuid4(), 1)), lambda: log.admit_writes(incarnation, 0)):
            with pytest.raises(StoreUnavailable, match="read only"):
                write()
        make_writable(own_dsn)

        assert log.append(history(uuid4(), 1)) == Appended((1,))
        log.admit_writes(incarnation, 1)


def test_a_copy_back_that_met_a_read_only_session_goes_on_in_another(own_dsn: str) -> None:
    with sql(own_dsn) as cursor:
        cursor.execute("UPDATE log_head SET admitted_for = NULL")
    event = history(uuid4(), 1).events
    with EventLog(own_dsn, readers=1) as log:
        make_read_only(own_dsn)
        with pytest.raises(StoreUnavailable, match="read only"):
            log.refill(1, event, [])
        make_writable(own_dsn)

        log.refill(1, event, [])
        assert log.head() == 1


def test_an_append_that_cannot_be_looked_up_after_its_reply_was_lost_is_not_called_undone(
    own_dsn: str, proxy: CuttingProxy
) -> None:
    cut = history(uuid4(), 2)
    with EventLog(proxy.dsn) as log:
        proxy.cut("after", meanwhile=lambda: make_read_only(own_dsn))

        with pytest.raises(OutcomeUnknown):
            log.append(cut)
        assert sorted(stored_ids(own_dsn)) == [1, 2]
        make_writable(own_dsn)
        assert log.append(cut) == Appended((1, 2))
    assert sorted(stored_ids(own_dsn)) == [1, 2]


def test_a_store_that_stays_away_after_a_lost_reply_leaves_the_outcome_unknown(
    own_dsn: str, proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.appender.RESOLVE_SECONDS", 0.2)
    cut = history(uuid4(), 1)
    with EventLog(proxy.dsn) as log:
        proxy.cut("after", meanwhile=proxy.close)

        with pytest.raises(OutcomeUnknown):
            log.append(cut)
    with EventLog(own_dsn) as log:
        assert log.append(cut) == Appended((1,))


def test_what_was_committed_is_told_though_the_rest_of_its_batch_is_refused(own_dsn: str) -> None:
    """The second command depends on the first, so it goes in with a second call, which the server refuses."""
    stream = uuid4()
    with sql(own_dsn) as cursor:
        cursor.execute(
            "CREATE FUNCTION full_now() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            "  IF new.version > 1 THEN RAISE EXCEPTION 'full' USING ERRCODE = 'disk_full'; END IF; RETURN new; "
            "END $$"
        )
        cursor.execute("CREATE TRIGGER full_now BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION full_now()")
    appender = Appender(own_dsn, None)

    first, second = appender.commit([history(stream, 1), command(event(stream, 2))])
    appender.close()
    assert first == Appended((1,))
    assert isinstance(second, StoreUnavailable)
    assert sorted(stored_ids(own_dsn)) == [1]


def test_a_head_file_that_cannot_be_written_answers_no_append(own_dsn: str, tmp_path: Path) -> None:
    """What was appended meanwhile is known when the disk has room again."""
    log_id = rows(own_dsn, "SELECT log_id::text FROM log_head")[0][0]
    noted = tmp_path / f"{log_id}.head"
    noted.symlink_to("/dev/full")
    first = history(uuid4(), 1)
    with EventLog(own_dsn, heads=tmp_path) as log, pytest.raises(OutcomeUnknown):
        log.append(first)
    noted.unlink()
    with EventLog(own_dsn, heads=tmp_path) as log:
        assert log.append(first) == Appended((1,))
        assert log.noted_head() == 1
    with EventLog(own_dsn, heads=noted) as log:
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="head file"):
                log.append(first)


def test_a_repeat_is_not_told_that_it_was_done_before_its_position_is_noted(own_dsn: str, tmp_path: Path) -> None:
    """The reply to the first try said that nobody knows; a store set back to before it must not be admitted."""
    noted = tmp_path / f"{rows(own_dsn, 'SELECT log_id::text FROM log_head')[0][0]}.head"
    noted.symlink_to("/dev/full")
    key = idempotency("key-1")
    with EventLog(own_dsn, heads=tmp_path) as log:
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                log.append(command(event(uuid4(), 1), idempotency=key))
    noted.unlink()
    with EventLog(own_dsn, heads=tmp_path) as log:
        with pytest.raises(AlreadyDone):
            log.append(command(event(uuid4(), 1), idempotency=key))
        assert log.noted_head() == 1


def test_a_store_that_was_never_reached_has_surely_done_nothing(own_dsn: str, proxy: CuttingProxy) -> None:
    proxy.close()
    with EventLog(proxy.dsn) as log, pytest.raises(StoreUnavailable) as refused:
        log.append(history(uuid4(), 1))
    assert not isinstance(refused.value, OutcomeUnknown)
