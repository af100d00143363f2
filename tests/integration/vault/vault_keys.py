"""An installation's keys, seen from outside: opened by a process of its own, and changed by hand."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import psycopg2.extras
from psycopg2.extensions import make_dsn

from store.migrate import migrate
from tests.keyrings import KIND, files_of, location_for
from tests.waiting import until
from vault.connections import Connections
from vault.installation import PreparedKeyring, keyring_at
from vault.keyring_location import Folders, KeyringLocation
from vault.vault import MIGRATIONS, Vault

FANOUT = 4
KILLED = 9
"""The exit status of a child that ended itself at a step."""


@dataclass(frozen=True)
class Keys:
    """One installation: a migrated keys database and its keyring; ``folder`` has the keyring's files, whoever's."""

    dsn: str = field(repr=False)
    folder: Path
    location: KeyringLocation | None = None

    def open(self, **options: Any) -> Vault:
        """Return a vault of this installation, as a process of its own would have it."""
        return Vault.open_at(self.dsn, self.location or self.folder, **{"fanout": FANOUT, **options})

    def keyring(self, installation_id: UUID | None = None) -> PreparedKeyring:
        """Return the keyring as this installation has it, once it has started, or as another one would."""
        if installation_id is None:
            [(installation_id,)] = self.sql("SELECT installation_id FROM key_root")
        location = self.location or Folders((self.folder,))
        return keyring_at(Connections(self.dsn), location, UUID(str(installation_id)))

    @contextmanager
    def restored(self, kept: Path) -> Iterator[None]:
        """Put a copy of the keyring's files in their place for a while."""
        current = self.folder.rename(self.folder.parent.parent / f"current-{uuid4()}")
        kept.rename(self.folder)
        try:
            yield
        finally:
            shutil.rmtree(self.folder)
            current.rename(self.folder)

    def roots(self) -> list[str]:
        """Return ``root-<epoch>-<id>.key`` for each root key there is, oldest first."""
        if KIND == "file":
            return sorted(path.name for path in self.folder.glob("root-*.key"))
        return [f"root-{ref.epoch:012d}-{ref.key_id.hex}.key" for ref in self.keyring().roots()]

    def holding(self, **options: Any) -> Vault:
        """Return a vault that keeps keys in memory, as a process that serves has it."""
        vault = self.open(**options)
        vault.hold_keys()
        until(vault.holds_keys)
        return vault

    def sql(self, statement: str, *values: Any, by_hand: bool = False) -> list[tuple[Any, ...]]:
        """Run one statement as the tables' owner; ``by_hand`` with the triggers of the key tables off."""
        connection = psycopg2.connect(self.dsn)
        try:
            with connection, connection.cursor() as cursor:
                tables = ["key_root", "key_node", "key_scope", "destruction", "destroyed_scope", "destroyed_person"]
                for table in tables if by_hand else []:
                    cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
                psycopg2.extras.register_uuid(conn_or_curs=cursor)
                cursor.execute(statement, values)
                rows = cursor.fetchall() if cursor.description else []
                for table in tables if by_hand else []:
                    cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
                return rows
        finally:
            connection.close()


def new_installation(database: str, folder: Path, location: KeyringLocation | None = None) -> Keys:
    """Return a new installation in a schema of its own of a database, its keyring at ``location`` or in ``folder``."""
    schema = f"test_{secrets.token_hex(6)}"
    dsn = make_dsn(database, options=f"-c search_path={schema}")
    location = location or location_for(folder / "keyring")
    installation = Keys(dsn, files_of(location), location)
    installation.sql(f"CREATE SCHEMA {schema}")
    migrate(installation.dsn, MIGRATIONS)
    return installation


def until_waiting(keys: Keys, statement: str) -> None:
    """Return when a session waits for a lock in a statement that contains this text."""
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND strpos(query, %s) > 0"
    until(lambda: keys.sql(waiting, statement))


def dying_at(step: str, nth: int = 1) -> Callable[[str], None]:
    """Return what ends the process at the nth time it is told that this step is done."""
    reached = 0

    def die(done: str) -> None:
        nonlocal reached
        reached += done == step
        if done == step and reached == nth:
            os._exit(KILLED)

    return die


def in_a_child(function, *arguments) -> int:
    """Return the exit status of a process of its own that did this."""
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    process.start()
    process.join(60)
    return process.exitcode
