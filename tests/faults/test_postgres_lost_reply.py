"""The reply to COMMIT is lost under the genuine API process: the caller gets the true answer, with one effect."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
from api_world import World, api_process
from psycopg2.extensions import parse_dsn

from application.caller import Caller
from application.examples import BODIES
from application.wiring import build_service
from domain.errors import OutcomeUnknown
from tests.callers import INTAKE_SERVICE
from tests.integration.store.cutting_proxy import CuttingProxy


class ShakyApi:
    """An API process whose way to the event store is a proxy that cuts on demand."""

    def __init__(self, world: World, proxy: CuttingProxy, port: int) -> None:
        self.world = world
        self.proxy = proxy
        self._port = port
        self._token = world.token(*INTAKE_SERVICE)

    def register(self, key: str) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Register a person, without a key if it is empty; return status, body and headers."""
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            **({"Idempotency-Key": key} if key else {}),
        }
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        connection.request("POST", "/v1/subjects", json.dumps(BODIES["register_subject"]), headers)
        answer = connection.getresponse()
        body = json.loads(answer.read())
        connection.close()
        return answer.status, body, {name.lower(): value for name, value in answer.headers.items()}

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements past the proxy and return the rows of the last one."""
        connection = psycopg2.connect(self.world.settings.events_dsn)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def registered(self) -> list[str]:
        """Return the ids of the events of registrations, in order."""
        return [
            row[0] for row in self.sql("SELECT event_id::text FROM events WHERE type = 'SubjectRegistered' ORDER BY 1")
        ]


@pytest.fixture(scope="module")
def api(pg_main: str, pg_keys: str, new_database: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShakyApi]:
    home: Path = tmp_path_factory.mktemp("lost-reply")
    world = World(new_database(pg_main, "lost"), new_database(pg_main, "lost"), new_database(pg_keys, "lost"), home)
    proxy = CuttingProxy(world.settings.events_dsn)
    behind = SimpleNamespace(settings=replace(world.settings, events_dsn=proxy.dsn))
    with api_process(behind) as (port, _):
        yield ShakyApi(world, proxy, port)
    proxy.close()
    world.close()


@pytest.mark.parametrize("moment", ["before", "waiting", "after"])
def test_the_caller_gets_the_true_answer_and_there_is_one_effect(api: ShakyApi, moment: str) -> None:
    key, before = str(uuid4()), api.registered()
    api.proxy.happened.clear()
    api.proxy.cut(moment)

    status, body, _ = api.register(key)

    assert api.proxy.happened.is_set()
    assert status == 201, body
    receipt = body["receipt"]
    (new,) = set(api.registered()) - set(before)
    assert new in receipt["event_ids"]
    last = receipt["event_ids"][-1]
    at = "SELECT position, stream_id::text, version FROM events WHERE event_id = "
    assert api.sql(f"{at}'{last}'") == [(receipt["position"], receipt["stream"], receipt["version"])]
    assert api.register(key)[:2] == (201, body)
    assert len(api.registered()) == len(before) + 1


def test_a_key_finds_the_outcome_where_the_database_can_be_read_only(api: ShakyApi) -> None:
    """Committed, the reply lost, and the database read-only before the append could be sent again."""
    before = api.registered()
    with read_only_after_the_next_append(api):
        status, body, _ = api.register(str(uuid4()))
    (new,) = set(api.registered()) - set(before)
    assert status == 201, body
    assert new in body["receipt"]["event_ids"]


def test_an_outcome_that_cannot_be_learnt_is_not_called_undone(api: ShakyApi) -> None:
    """The same without a key, so there is nothing to look it up by."""
    before = api.registered()
    with read_only_after_the_next_append(api):
        status, body, headers = api.register("")

    assert (status, body["type"]) == (503, "urn:casekeeper:problem:outcome-unknown")
    assert headers["retry-after"].isdigit()
    assert headers["content-type"] == "application/problem+json"
    assert len(api.registered()) == len(before) + 1


def test_an_outcome_stays_unknown_while_nothing_can_be_looked_up_and_is_told_then(
    api: ShakyApi, pg_main: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.appender.RESOLVE_SECONDS", 0.2)
    before = api.registered()
    proxy = CuttingProxy(api.world.settings.events_dsn)
    service = build_service(replace(api.world.settings, events_dsn=proxy.dsn))
    caller = Caller("test", "web-forms", frozenset({"service"}), "intake", "api", uuid4())
    asked = ("register_subject", caller, {}, BODIES["register_subject"], "the key")
    proxy.cut("after", meanwhile=lambda: allow_connections(api, pg_main, allowed=False))
    with api.world.projector.paused():
        try:
            with pytest.raises(OutcomeUnknown):
                service.execute(*asked)
        finally:
            allow_connections(api, pg_main, allowed=True)
    (new,) = set(api.registered()) - set(before)

    assert new in service.execute(*asked).body["receipt"]["event_ids"]
    assert len(api.registered()) == len(before) + 1
    service.log.close()
    service.vault.close()
    proxy.close()


@contextmanager
def read_only_after_the_next_append(api: ShakyApi) -> Iterator[None]:
    """Cut off the reply to the next append, and let nothing be written until the block ends."""
    name = parse_dsn(api.world.settings.events_dsn)["dbname"]
    others = "datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'casekeeper %'"
    api.proxy.happened.clear()
    api.proxy.cut(
        "after",
        meanwhile=lambda: api.sql(
            f"ALTER DATABASE {name} SET default_transaction_read_only = on",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}",
        ),
    )
    yield
    assert api.proxy.happened.is_set()
    api.sql("SET default_transaction_read_only = off", f"ALTER DATABASE {name} RESET default_transaction_read_only")


def allow_connections(api: ShakyApi, server: str, *, allowed: bool) -> None:
    """Open or shut the event store's database; whoever is in it is put out."""
    name = parse_dsn(api.world.settings.events_dsn)["dbname"]
    connection = psycopg2.connect(server)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {str(allowed).lower()}")
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
    connection.close()
