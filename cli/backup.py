"""``casekeeper backup``: events and wrapped keys in one folder, and nothing of the keyring."""

from __future__ import annotations

import shutil
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from application.backups import EVENTS, KEYS, Content, File, copy_generation, give_name, write_manifest
from application.settings import Settings
from domain.errors import RestoreRefused
from domain.instants import instant
from ops.dumps import dump_database
from ops.files import private_folder
from ops.owned_databases import running_databases
from store.log import EventLog
from vault.change_log import ChangeLog

_PART = ".part"


@click.command("backup")
@click.option(
    "--to", type=click.Path(path_type=Path), help="Folder to make; else one named after the time, in the home."
)
def command(to: Path | None) -> None:
    """Write a backup of the events and of the wrapped keys; the service may run meanwhile.

    The keyring is not in it, and must not be kept beside it: together they open everything that lives. Views and topic
    are not in it: they are made anew from the events. A backup that was not finished leaves a folder *.part, which the
    next one to the same place removes.

    \b
    Example:
      casekeeper backup --to /backups/2026-11-27
    """
    settings = Settings.load()
    now = datetime.now(UTC)
    folder = to or settings.home_path / "backups" / f"{now:%Y-%m-%dT%H%M%SZ}"
    with running_databases(settings) as (events_dsn, keys_dsn):
        files = back_up(events_dsn, keys_dsn, settings.keys_log_path, folder, now)
    click.echo(f"{folder}: {len(files)} files, {sum(file.size for file in files)} bytes; the keyring is not in it")


def back_up(events_dsn: str, keys_dsn: str, keys_log: Path, folder: Path, now: datetime) -> list[File]:
    """Write a backup and return its files; it has its name once it is whole.

    Events first: a key is in the log before anything is sealed under it, so a later copy of the log has every key that
    these events need. Raises ``RestoreRefused`` when there is something of that name already.
    """
    if folder.exists():
        raise RestoreRefused(f"{folder} exists: a backup is never written over another")
    part = folder.with_name(folder.name + _PART)
    if part.exists():
        shutil.rmtree(part)
    private_folder(part)
    console = Console(stderr=True)
    with closing(EventLog(events_dsn)) as events:
        log_id, head = events.log_id(), events.head()
    _say(console, f"dumping events up to {head} and beyond")
    dump_database(events_dsn, part / EVENTS)
    with closing(ChangeLog(keys_dsn, keys_log)) as log:
        log.open()
        _say(console, "dumping keys")
        generation = log.dump().generation
        copy_generation(log.files, generation, part / KEYS)
        installation_id = log.files.installation(generation)
    _say(console, "reading back")
    files = write_manifest(part, Content(instant(now), log_id, head, installation_id, generation))
    give_name(part, folder)
    return files


def _say(console: Console, text: str) -> None:
    if console.is_terminal:
        console.print(text)
