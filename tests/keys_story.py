"""An installation with people whose data is sealed, of whom some are erased, and copies of its stores of the past."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import parse_dsn

from application.caller import Caller
from application.erasure import ErasureSaga
from application.examples import BODIES
from application.service import Service
from application.settings import Settings, variable
from application.unit_of_work import Resources
from application.wiring import build_service
from domain.record import Record
from domain.rights import DueErasure
from domain.sealed import Erased
from store.log import EventLog
from store.migrate import migrate
from tests.keyrings import location_for
from tests.new_people import new_person
from vault.vault import MIGRATIONS

Typed = subprocess.CompletedProcess[str]


def caller(role: str, purpose: str, who: str) -> Caller:
    return Caller("staff", who, frozenset({role}), purpose, "api", uuid4())


INTAKE = caller("service", "intake", "forms")
RIGHTS = caller("service", "rights", "forms")
OFFICER = caller("privacy_officer", "rights", "p1")
SECOND_OFFICER = caller("privacy_officer", "rights", "p2")


def new_installation(events_dsn: str, keys_dsn: str, home: Path) -> Settings:
    """Migrate two databases and return the settings of an installation that has not started yet."""
    migrate(events_dsn)
    migrate(keys_dsn, MIGRATIONS)
    log = EventLog(events_dsn)
    log.admit_writes(log.admission().incarnation, 0)
    log.close()
    keyring = str(location_for(home / "keyring"))
    return Settings(home=str(home), events_dsn=events_dsn, keys_dsn=keys_dsn, keyring=keyring)


def registered(service: Service, count: int) -> list[UUID]:
    """Register people, each with a case and an intake; return their ids."""
    people = []
    for _ in range(count):
        subject = service.execute("register_subject", INTAKE, {}, new_person()).body["id"]
        opened = service.execute("open_case", INTAKE, {}, {**BODIES["open_case"], "subject_id": subject}).body["id"]
        service.execute("submit_intake", INTAKE, {"case_id": opened}, BODIES["submit_intake"])
        people.append(UUID(subject))
    return people


def erased(service: Service, subject_id: UUID) -> UUID:
    """Erase all of a person that no law withholds; return the certificate's id."""
    ids = {"subject_id": str(subject_id)}
    wish = {**BODIES["receive_request"], "scope": None}
    ids["request_id"] = service.execute("receive_request", RIGHTS, ids, wish).body["id"]
    service.execute("verify_requester", OFFICER, ids, BODIES["verify_requester"])
    preview = service.execute("preview_erasure", OFFICER, ids, {}).body["preview_id"]
    service.execute("approve_erasure", SECOND_OFFICER, ids, {"preview_id": preview})
    saga = ErasureSaga(service.resources, service.clock)
    erasure = DueErasure(subject_id, UUID(ids["request_id"]), uuid4())
    saga.fence(erasure)
    assert saga.drain([erasure]) == {}
    assert saga.destroy([erasure]) == {}
    saga.certify(erasure, {"people": service.log.head()})
    return UUID(service.execute("erasure_certificate", OFFICER, ids, {}).body["certificate_id"])


def opened(resources: Resources | Service) -> dict[tuple[UUID, str], Any]:
    """Open every sealed part of the log: its value, or the certificate under which it was erased."""
    fields = [
        (record, name)
        for record in (Record.parse(s.position, s.record) for s in resources.log.read_from(1, 10_000))
        for name in record.sealed
    ]
    resources.vault.drop_cache()
    answers = resources.vault.open_many([record.sealed_field(name) for record, name in fields])
    return {
        (record.event_id, name): answer.certificate_id if isinstance(answer, Erased) else answer
        for (record, name), answer in zip(fields, answers, strict=True)
    }


def casekeeper(settings: Settings, *arguments: str, program: Sequence[str] = ("-m", "cli.main")) -> Typed:
    """Run ``casekeeper`` as an operator types it beside an installation."""
    named = {variable(field.name): str(getattr(settings, field.name)) for field in fields(settings)}
    command = [sys.executable, *program, *arguments]
    environment = {**os.environ, **named}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)


def closed(service: Service) -> None:
    service.log.close()
    service.vault.close()


@dataclass(frozen=True)
class Past:
    """Copies of an installation's stores, as they were at one moment."""

    events_dsn: str
    keys_dsn: str
    keyring: Path
    keys_log: Path


def kept_aside(settings: Settings, folder: Path) -> Past:
    """Copy events, keys, keyring and key change log of an installation that nobody has open."""
    folder.mkdir()
    return Past(
        _copied(settings.events_dsn),
        _copied(settings.keys_dsn),
        shutil.copytree(settings.keyring_location.folders[0], folder / "keyring"),
        shutil.copytree(settings.keys_log_path, folder / "keys-log"),
    )


def restart(settings: Settings, **stores: Any) -> Service:
    """Start the service with some stores exchanged."""
    prefixes = {"keyring": "file:"}
    named = {name: f"{prefixes.get(name, '')}{value}" for name, value in stores.items()}
    return build_service(replace(settings, **named))


def _copied(dsn: str) -> str:
    name = parse_dsn(dsn)["dbname"]
    copy = f"{name}_{uuid4().hex[:8]}"
    connection = psycopg2.connect(dsn, dbname="postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        # Sessions that a stopped process left in a pool would keep the copy from being made.
        cursor.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (name,))
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        cursor.execute(statement.format(sql.Identifier(copy), sql.Identifier(name)))
    connection.close()
    return psycopg2.extensions.make_dsn(dsn, dbname=copy)
