"""The whole of HTTP over real PostgreSQL without Kafka: what the relay and the runner do, a thread here does.

It takes every event from the store to every projection, in order, and drives erasures on, as the worker would.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg2
from flask import Flask

from api.app import create_app
from api.dev_tokens import DevIssuer
from application.settings import Settings, variable
from application.wiring import build_saga, build_service
from domain.errors import RetriableError
from domain.record import Record
from ops.ports import answers, free_port
from projections import health
from projections.catalogue import projections
from projections.positions import advance, prepare
from projections.views import Views
from store.migrate import migrate
from tests import callers
from tests.keyrings import location_for
from tests.new_people import new_person

KEYS_MIGRATIONS = Path(__file__).parents[1] / "vault" / "migrations"


class Projector:
    """Feeds the views from the store until it is stopped; can be paused so that views fall behind."""

    def __init__(self, views_dsn: str, service: Any) -> None:
        self._log = service.log
        self._projections = projections(build_saga(service), service.vault)
        self._connection = psycopg2.connect(views_dsn)
        self._positions = {p.name: prepare(self._connection, p) for p in self._projections}
        self._going = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="projector")
        self.error: BaseException | None = None

    def start(self) -> None:
        with self._connection, self._connection.cursor() as cursor:
            health.prepare(cursor)
        self._going.set()
        self._thread.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._going.clear()
        try:
            yield
        finally:
            self._going.set()

    def stop(self) -> None:
        self._stopping.set()
        self._going.set()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._going.wait()
                with suppress(RetriableError):
                    if self._step():
                        continue
                self._stopping.wait(0.01)
        except BaseException as error:
            self.error = error
            raise

    def _step(self) -> bool:
        moved = False
        for projection in self._projections:
            at = self._positions[projection.name]
            stored = self._log.read_from(at + 1, 500)
            if stored:
                records = [Record.parse(s.position, s.record) for s in stored]
                with self._connection, self._connection.cursor() as cursor:
                    projection.apply_batch(cursor, records)
                    advance(cursor, projection.name, at, records[-1].position)
                self._positions[projection.name] = records[-1].position
                moved = True
            with self._connection, self._connection.cursor() as cursor:
                try:
                    projection.tick(cursor)
                except RetriableError:
                    moved = True
        return moved


class World:
    """Settings, service, views, projector and application of one test session."""

    def __init__(self, events_dsn: str, views_dsn: str, keys_dsn: str, home: Path) -> None:
        migrate(events_dsn)
        migrate(keys_dsn, KEYS_MIGRATIONS)
        self.settings = Settings(
            home=str(home),
            events_dsn=events_dsn,
            views_dsn=views_dsn,
            keys_dsn=keys_dsn,
            keyring=str(location_for(home / "keyring")),
        )
        self.service = build_service(self.settings)
        self.log = self.service.log
        self.log.admit_writes(self.log.admission().incarnation, 0)
        self.views = Views(views_dsn)
        self.projector = Projector(views_dsn, self.service)
        self.projector.start()
        self.app: Flask = create_app(self.settings, self.service, self.views, None, view_wait=5.0)
        self.issuer = DevIssuer(self.settings, self.service.vault)

    def close(self) -> None:
        self.projector.stop()
        self.views.close()
        self.log.close()
        self.service.vault.close()

    def token(self, role: str, purpose: str, actor: str = "a1", lifetime: int = 600) -> str:
        return self.issuer.issue(actor, [role], purpose, lifetime)

    def as_(self, role: str, purpose: str, actor: str = "a1") -> Caller:
        return Caller(self.app, self.token(role, purpose, actor))

    @property
    def people(self) -> SimpleNamespace:
        """The people of the main journey, each with a token of their own."""
        return SimpleNamespace(
            intake=self.as_(*callers.INTAKE_SERVICE),
            person=self.as_(*callers.PERSON),
            manager=self.as_(*callers.MANAGER),
            second=self.as_(*callers.SECOND_MANAGER),
            officer=self.as_(*callers.OFFICER),
            other_officer=self.as_(*callers.SECOND_OFFICER),
            regulator=self.as_(*callers.REGULATOR),
        )

    def registered(self, **identity: Any) -> tuple[str, str]:
        """Register a person and open a case; return their ids."""
        subject = self.people.intake.post("/v1/subjects", new_person(**identity)).json["id"]
        opened = self.people.intake.post("/v1/cases", {"subject_id": subject, "kind": "second_opinion"})
        return subject, opened.json["id"]


def environment(world: World, **more: str) -> dict[str, str]:
    """Return the environment of a process of this world."""
    settings = {variable(field.name): str(getattr(world.settings, field.name)) for field in fields(world.settings)}
    return {**os.environ, **settings, **more}


@contextmanager
def api_process(world: World) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Run ``casekeeper api`` for real and give its port and process; ends it, if it still runs, with SIGTERM."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "api"],
        env=environment(world, CASEKEEPER_PORT=str(port)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until_answering(port, process)
        yield port, process
    finally:
        process.terminate()
        process.communicate(timeout=20)


def wait_until_answering(port: int, process: subprocess.Popen[str]) -> None:
    """Return once the server accepts connections."""
    deadline, pause = time.monotonic() + 120, threading.Event()
    while not answers(port):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline, "the API does not answer"
        pause.wait(0.05)


class Caller:
    """HTTP calls with one token, in process."""

    def __init__(self, app: Flask, token: str | None) -> None:
        self._client = app.test_client()
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str, **headers: str) -> Any:
        return self._client.get(path, headers={**self._headers, **headers})

    def post(
        self, path: str, body: Any = None, *, key: str | None = None, raw: bytes | None = None, **more: Any
    ) -> Any:
        headers = {**self._headers, **({"Idempotency-Key": key} if key is not None else {}), **more.pop("headers", {})}
        if raw is not None:
            return self._client.post(
                path, data=raw, headers=headers, content_type=more.get("content_type", "application/json")
            )
        return self._client.post(path, json={} if body is None else body, headers=headers)
