"""What is in the stores: schemas of this program, writes admitted, keys and keyring that belong together."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from application.settings import Settings, variable
from cli.checks.finding import Finding
from domain.errors import CasekeeperError, KeyringMismatch, SchemaMismatch
from store.log import EventLog
from store.migrate import EVENTS_MIGRATIONS, pending
from vault.file_keyring import FileKeyring
from vault.installation import inspect, planted
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


def keyring(settings: Settings) -> Iterator[Finding]:
    """Look at the keyring: there, nobody else's to read, readable, and of the same installation as the keys cluster."""
    folder = settings.keyring_path
    if not folder.exists():
        if settings.keys_dsn and _has_keys(settings.keys_dsn):
            shown, advice = f"missing: no folder {folder}", "mount its volume, or restore it: without it nothing opens"
            yield Finding("keyring", "failed", shown, advice)
        else:
            yield Finding("keyring", "warning", f"no folder {folder}", "it is made at the first start")
        return
    problems = list(_folder(folder))
    if not problems and settings.keys_dsn:
        problems = list(_together(settings, folder))
    yield from problems or [Finding("keyring", "ok", str(folder))]


def _folder(folder: Path) -> Iterator[Finding]:
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        yield Finding("keyring", "failed", f"others may enter {folder} (mode {mode:o})", f"chmod 700 {folder}")
    files = [folder, *folder.glob("*.key")] if os.access(folder, os.R_OK | os.X_OK) else [folder]
    locked = [file for file in files if not os.access(file, os.R_OK)]
    if locked:
        shown = f"unreadable: {len(locked)} of {len(files)} files in {folder}"
        yield Finding("keyring", "failed", shown, f"chown and chmod them for the account that runs this, see {folder}")


def _together(settings: Settings, folder: Path) -> Iterator[Finding]:
    try:
        kept = inspect(settings.keys_dsn, folder)
    except KeyringMismatch as mismatch:
        advice = "put keyring and keys cluster of one installation and one moment together; make no new keys"
        yield Finding("keyring", "failed", f"mismatch: {mismatch}", advice)
    except CasekeeperError as error:
        # A keys cluster that is away is told by the check of that database.
        if "cluster" not in str(error):
            advice = f"look at {folder}: its files, its owner, its mount, and {variable('keyring')}"
            yield Finding("keyring", "failed", f"unreadable: {error}", advice)
    else:
        yield from _writable(kept)


def _writable(kept: FileKeyring | None) -> Iterator[Finding]:
    try:
        if kept is not None:
            kept.check_writable()
    except CasekeeperError as error:
        advice = "make room on its volume, or mount it for writing: no key can be made and nobody forgotten"
        yield Finding("keyring", "failed", f"takes no writes: {error}", advice)


def _has_keys(dsn: str) -> bool:
    try:
        return planted(dsn)
    except CasekeeperError:
        return False
