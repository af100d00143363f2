"""The keyring: each folder, or the device, that it is in, and whether it belongs to the keys cluster."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from application.settings import Settings, variable
from cli.checks.finding import Finding
from domain.errors import CasekeeperError, KeyringMismatch
from vault.installation import PreparedKeyring, inspect, planted, replica_faults
from vault.keyring_location import Folders, KeyringLocation, Token
from vault.replicas import EMPTY, LACKS_ROOT, NEW


def keyring(settings: Settings) -> Iterator[Finding]:
    """Look at the keyring: there, nobody else's to read, readable, and of the same installation as the keys cluster."""
    location = settings.keyring_location
    if isinstance(location, Token):
        problems = list(_device(location))
    else:
        problems = [problem for folder in location.folders for problem in _folder(settings, folder)]
    if not problems and settings.keys_dsn:
        problems = list(_together(settings, location))
    elif not problems:
        advice = "start the service: only beside its keys cluster can be seen whether it is the right one"
        problems = [
            Finding("keyring", "warning", f"{_named(location)}, not compared: no keys cluster is known", advice)
        ]
    yield from problems or [Finding("keyring", "ok", _named(location))]


def _folder(settings: Settings, folder: Path) -> Iterator[Finding]:
    if not folder.exists():
        if settings.keys_dsn and _has_keys(settings.keys_dsn):
            shown, advice = f"missing: no folder {folder}", "mount its volume: without it nothing opens"
            yield Finding("keyring", "failed", shown, advice)
        else:
            yield Finding("keyring", "warning", f"no folder {folder}", "it is made at the first start, and only then")
        return
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        yield Finding("keyring", "failed", f"others may enter {folder} (mode {mode:o})", f"chmod 700 {folder}")
    files = [folder, *folder.glob("*.key")] if os.access(folder, os.R_OK | os.X_OK) else [folder]
    locked = [file for file in files if not os.access(file, os.R_OK)]
    if locked:
        shown = f"unreadable: {len(locked)} of {len(files)} files in {folder}"
        yield Finding("keyring", "failed", shown, f"chown and chmod them for the account that runs this, see {folder}")


def _device(token: Token) -> Iterator[Finding]:
    if not token.module.exists():
        advice = f"install the device's library, or correct module-path in {variable('keyring')}"
        yield Finding("keyring", "failed", f"no library {token.module}", advice)
    if not os.access(token.pin_source, os.R_OK):
        advice = f"put the user's PIN there, or correct pin-source in {variable('keyring')}"
        yield Finding("keyring", "failed", f"no file {token.pin_source} that can be read", advice)
    elif (mode := stat.S_IMODE(token.pin_source.stat().st_mode)) & 0o077:
        shown = f"others may read the PIN in {token.pin_source} (mode {mode:o})"
        yield Finding("keyring", "failed", shown, f"chmod 600 {token.pin_source}, and change the PIN")


def _together(settings: Settings, location: KeyringLocation) -> Iterator[Finding]:
    try:
        kept = inspect(settings.keys_dsn, location)
        if isinstance(location, Folders) and len(location.folders) > 1:
            yield from _replicas(settings, location)
    except KeyringMismatch as mismatch:
        advice = "put keyring and keys cluster of one installation and one moment together; make no new keys"
        yield Finding("keyring", "failed", f"mismatch: {mismatch}", advice)
    except CasekeeperError as error:
        # A keys cluster that is away is told by the check of that database.
        if "cluster" not in str(error):
            yield Finding("keyring", "failed", f"unreadable: {error}", _to_look_at(location))
    else:
        yield from _writable(kept)


def _writable(kept: PreparedKeyring | None) -> Iterator[Finding]:
    try:
        if kept is not None:
            kept.check_writable()
    except CasekeeperError as error:
        advice = "make room on its volume, or mount it for writing: no key can be made and nobody forgotten"
        yield Finding("keyring", "failed", f"takes no writes: {error}", advice)


def _replicas(settings: Settings, location: Folders) -> Iterator[Finding]:
    for folder, fault in replica_faults(settings.keys_dsn, location).items():
        if fault == LACKS_ROOT:
            advice = "start the service, or wait for its next erasure: what the folder lacks is copied then"
        elif fault == EMPTY:
            advice = f"mount its volume; if it is a new one: touch {folder / NEW}, and start the service"
        else:
            advice = f"look at {folder}: its files, its owner, its mount; until it is back nothing can be erased"
        yield Finding("keyring", "failed", f"replica {folder}: {fault}", advice)


def _to_look_at(location: KeyringLocation) -> str:
    if isinstance(location, Token):
        return (
            f"look at {_named(location)} with the device's own tools, at {location.pin_source}, {variable('keyring')}"
        )
    return f"look at {_named(location)}: its files, its owner, its mount, and {variable('keyring')}"


def _named(location: KeyringLocation) -> str:
    if isinstance(location, Folders):
        return ", ".join(map(str, location.folders))
    return f"token {location.token}"


def _has_keys(dsn: str) -> bool:
    try:
        return planted(dsn)
    except CasekeeperError:
        return False
