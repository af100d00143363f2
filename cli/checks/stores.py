"""What is in the stores: schemas of this program, writes admitted."""

from __future__ import annotations

from collections.abc import Iterator

from application.settings import Settings
from cli.checks.finding import Finding
from domain.errors import CasekeeperError, SchemaMismatch
from store.log import EventLog
from store.migrate import EVENTS_MIGRATIONS, pending
from vault.vault import MIGRATIONS


def migrations(settings: Settings) -> Iterator[Finding]:
    """Look whether the event store and the keys cluster have the schema of this program."""
    for name, dsn, folder in (
        ("events", settings.events_dsn, EVENTS_MIGRATIONS),
        ("keys", settings.keys_dsn, MIGRATIONS),
    ):
        if not dsn:
            continue
        try:
            waiting = pending(dsn, folder)
        except SchemaMismatch as mismatch:
            yield Finding("migrations", "failed", f"{name}: {mismatch}", "run the program that fits this database")
        except CasekeeperError:
            continue
        else:
            if waiting:
                shown = f"{name} waits for {', '.join(waiting)}"
                yield Finding("migrations", "failed", shown, "casekeeper migrate, as the databases' owner")


def admission(settings: Settings) -> Iterator[Finding]:
    """Look whether the event store takes writes."""
    if not settings.events_dsn:
        return
    try:
        with EventLog(settings.events_dsn, readers=1) as log:
            found = log.admission()
    except CasekeeperError:
        return
    if not found.admitted:
        advice = "start casekeeper worker: its relay compares the store with the topic; if it runs, see relay and kafka"
        yield Finding("writes", "failed", "not admitted: not compared with the topic since the last restart", advice)
    else:
        yield Finding("writes", "ok", f"admitted, {found.head} events")
