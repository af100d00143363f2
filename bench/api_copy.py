"""An API process of the real program on databases of its own, with people and cases to write notes on."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from uuid import UUID, uuid4

from api.dev_tokens import DevIssuer
from application.caller import Caller
from application.examples import BODIES
from application.service import Service
from application.settings import Settings, variable
from application.wiring import build_service
from bench.database import cluster
from ops.grants import grant
from ops.ports import answers
from ops.processes import end_child, spawn
from ops.roles import API, CLUSTERS, OWNER
from store.log import EventLog
from store.migrate import migrate
from vault.vault import MIGRATIONS

PEOPLE, CASES_EACH = 16, 4
_WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Copy:
    """A copy's settings, the service in this process on the same databases, its cases, and a token."""

    settings: Settings
    service: Service
    cases: Sequence[UUID]
    owner_dsn: str

    def token(self, actor: str) -> str:
        """Return a case manager's token."""
        return DevIssuer(self.settings, self.service.vault).issue(actor, ["case_manager"], "casework")


def caller() -> Caller:
    """Return a case manager at work."""
    return Caller("bench", "a1", frozenset({"case_manager", "intake"}), "casework", "api", uuid4())


@contextmanager
def copy(folder: Path) -> Iterator[Copy]:
    """Give a copy with ``PEOPLE`` people and their cases; no worker runs, so that only commands are measured."""
    with cluster(folder) as main, cluster(folder, "pg-keys") as keys:
        [events, views], [keys_name] = CLUSTERS["pg-main"], CLUSTERS["pg-keys"]
        owner = main.dsn(OWNER, events)
        migrate(owner)
        migrate(keys.dsn(OWNER, keys_name), MIGRATIONS)
        grant(owner, "events")
        grant(keys.dsn(OWNER, keys_name), "keys")
        settings = Settings(
            home=str(folder),
            events_dsn=main.dsn(API, events),
            views_dsn=main.dsn(API, views),
            keys_dsn=keys.dsn(API, keys_name),
        )
        service = build_service(settings)
        try:
            _admit(owner)
            yield Copy(settings, service, _cases(service), owner)
        finally:
            service.log.close()
            service.vault.close()


@contextmanager
def serving(command: Sequence[str], port: int, environment: Mapping[str, str], log: Path) -> Iterator[int]:
    """Run a server as a process of its own and give its pid once it answers. Raises ``RuntimeError`` if it does not."""
    process = spawn([sys.executable, "-m", *command], log=log, environment={**os.environ, **environment})
    try:
        give_up = time.monotonic() + _WAIT_SECONDS
        while not answers(port):
            if process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"{command[0]} does not answer: {log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield process.pid
    finally:
        end_child(process)


def environment(settings: Settings) -> dict[str, str]:
    """Return the settings as environment variables."""
    return {variable(field.name): getattr(settings, field.name) for field in fields(settings)}


def _admit(owner_dsn: str) -> None:
    with EventLog(owner_dsn) as log:
        log.admit_writes(log.admission().incarnation, 0)


def _cases(service: Service) -> list[UUID]:
    """Register people and open their cases, by many threads at once; return the cases, those of a person far apart."""
    with ThreadPoolExecutor(16) as pool:
        people = list(pool.map(lambda _: _made(service, "register_subject", {}), range(PEOPLE)))
        subjects = people * CASES_EACH
        return list(pool.map(lambda person: _made(service, "open_case", {"subject_id": str(person)}), subjects))


def _made(service: Service, operation: str, more: Mapping[str, str]) -> UUID:
    return UUID(service.execute(operation, caller(), {}, {**BODIES[operation], **more}).body["id"])
