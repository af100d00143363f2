"""``casekeeper restore``: a backup and the key change log put into empty databases, each step whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import click

from application.backups import EVENTS, KEYS, Content, read_manifest
from application.settings import Settings
from cli.bars import bar
from domain.errors import RestoreRefused
from ops.dumps import is_empty, restore_database
from ops.grants import grant
from ops.owned_databases import stopped_databases
from store.log import EventLog
from store.migrate import EVENTS_MIGRATIONS, migrate
from vault.connections import Connections
from vault.installation import installation_of, keyring_at
from vault.keyring import Keyring
from vault.restoring import bring_log, check_log, log_that_counts, restore_keys
from vault.vault import MIGRATIONS


@dataclass(frozen=True)
class Plan:
    """What is still to be put back."""

    events: bool
    keys: bool


@click.command("restore")
@click.option("--from", "source", type=click.Path(path_type=Path, file_okay=False), required=True, help="The backup.")
@click.option("--dry-run", is_flag=True, help="Check backup, targets and keyring, and change nothing.")
@click.option("--log-lost", is_flag=True, help="The key change log was lost: where there is none, take the backup's.")
def command(source: Path, dry_run: bool, log_lost: bool) -> None:
    """Put a backup into empty databases; nothing that is there is ever written over.

    The keys come from the key change log where it was kept up (CASEKEEPER_KEYS_LOG), with --log-lost from the backup's
    copy of it, and first: a log older than the keyring is refused before anything is changed. Stop the service before;
    killed, it is typed again and goes on. Read docs/runbooks/restore.md.

    \b
    Example:
      casekeeper restore --from /backups/2026-11-27 --dry-run
    """
    settings = Settings.load()
    with bar("checking the backup") as moved:
        content = read_manifest(source, moved)
    with stopped_databases(settings) as (events_dsn, keys_dsn), closing(Connections(keys_dsn, 1)) as connections:
        plan = planned(content, events_dsn, keys_dsn)

        def keyring(installation_id: UUID) -> Keyring:
            return keyring_at(connections, settings.keyring_location, installation_id)

        keys = "there already"
        if plan.keys:
            keys = checked_keys(settings.keys_log_path, source / KEYS, keyring, log_lost)
        if dry_run:
            click.echo(f"keys: {keys}")
            click.echo(f"events: {'would be put back' if plan.events else 'there already'}")
            return
        if plan.keys:
            put_back_keys(keys_dsn, settings.keys_log_path, source, keyring, log_lost)
        if plan.events:
            put_back_events(events_dsn, source)
    click.echo(f"restored events up to {content.head} and beyond, of {content.created_at}")
    click.echo("at the next start, what the events say was destroyed is destroyed again: see casekeeper keys verify")


def planned(content: Content, events_dsn: str, keys_dsn: str) -> Plan:
    """Say what is still to be done. Raises ``RestoreRefused`` when a target holds anything but this backup."""
    events = is_empty(events_dsn)
    if not events:
        with closing(EventLog(events_dsn)) as log:
            if (log.log_id(), log.head() >= content.head) != (content.log_id, True):
                raise RestoreRefused("the events database is not empty: make a new one, and set the old one aside")
    installation_id = None if is_empty(keys_dsn) else installation_of(keys_dsn)
    if installation_id not in (None, content.installation_id):
        raise RestoreRefused("the keys cluster holds the keys of another installation")
    return Plan(events, installation_id is None)


def checked_keys(keys_log: Path, copy: Path, keyring: Callable[[UUID], Keyring], log_lost: bool) -> str:
    """Look whether the keys can be put back, and say what would be; change nothing.

    Raises what ``log_that_counts`` and ``check_log`` raise.
    """
    folder = log_that_counts(keys_log, copy, lost=log_lost)
    return f"{check_log(folder, keyring).count()} rows would come from {folder}; the keyring opens them"


def put_back_keys(
    keys_dsn: str, keys_log: Path, source: Path, keyring: Callable[[UUID], Keyring], log_lost: bool
) -> None:
    """Bring the key change log where it belongs and the keys from it into their cluster."""
    migrate(keys_dsn, MIGRATIONS)
    grant(keys_dsn, "keys")
    if bring_log(keys_log, source / KEYS, lost=log_lost):
        click.echo(f"keys come from the log in {keys_log}, which was kept up to the end")
    else:
        click.echo(
            f"the log in {keys_log} ends as the backup's copy does: keys made after the backup, if any, are lost"
        )
    with bar("putting keys back") as moved:
        restored = restore_keys(keys_dsn, keys_log, keyring, moved=moved)
    click.echo(f"keys: {restored.rows} rows, root key of epoch {restored.epoch}")


def put_back_events(events_dsn: str, source: Path) -> None:
    """Put the events back and bring their database to the current schema."""
    restore_database(events_dsn, source / EVENTS)
    migrate(events_dsn, EVENTS_MIGRATIONS)
    grant(events_dsn, "events")
