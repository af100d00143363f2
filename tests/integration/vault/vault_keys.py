"""An installation's keys, seen from outside: opened by a process of its own, and changed by hand."""

from __future__ import annotations

import multiprocessing
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras
from psycopg2.extensions import make_dsn

from store.migrate import migrate
from tests.waiting import until
from vault.vault import MIGRATIONS, Vault

FANOUT = 4
KILLED = 9
"""The exit status of a child that ended itself at a step."""


@dataclass(frozen=True)
class Keys:
    """One installation: a migrated keys database and its keyring's folder."""

    dsn: str = field(repr=False)
    folder: Path

    def open(self, **options: Any) -> Vault:
        """Return a vault of this installation, as a process of its own would have it."""
        return Vault.open_at(self.dsn, self.folder, **{"fanout": FANOUT, **options})

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


def new_installation(database: str, folder: Path) -> Keys:
    """Return a new installation in a schema of its own of a database."""
    schema = f"test_{secrets.token_hex(6)}"
    installation = Keys(make_dsn(database, options=f"-c search_path={schema}"), folder / "keyring")
    installation.sql(f"CREATE SCHEMA {schema}")
    migrate(installation.dsn, MIGRATIONS)
    return installation


def until_waiting(keys: Keys, statement: str) -> None:
    """Return when a session waits for a lock in a statement that contains this text."""
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND strpos(query, %s) > 0"
    until(lambda: keys.sql(waiting, statement))


def in_a_child(function, *arguments) -> int:
    """Return the exit status of a process of its own that did this."""
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    process.start()
    process.join(30)
    return process.exitcode
