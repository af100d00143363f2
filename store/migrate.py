"""Applies numbered SQL files to a database: forward only, each once, one runner at a time.

Files are ``0001_name.sql``, ``0002_name.sql``, … in a folder; the folder above it names the room, so that several
rooms may share a database. What was applied is recorded in ``schema_migrations`` with the file's SHA-256.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2.extensions import cursor as Cursor

from domain.errors import SchemaMismatch
from store.connection import connect, unavailable

EVENTS_MIGRATIONS = Path(__file__).parent / "migrations"

_LOCK = 0x63617365
_RECORDED = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    room text NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (room, number)
)"""


@dataclass(frozen=True)
class Migration:
    """One SQL file."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Return the digest of the file's text in hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrate(dsn: str, folder: Path = EVENTS_MIGRATIONS) -> list[str]:
    """Apply what is not applied yet, each file in a transaction of its own, and return the names applied.

    Raises ``SchemaMismatch`` when an applied file was changed or is missing here, or the numbers do not run 1, 2, 3, …;
    ``StoreUnavailable`` when the database cannot be reached or refuses a file.
    """
    files = read_folder(folder)
    connection = connect(dsn, "casekeeper migrate")
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            cursor.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
            cursor.execute("SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', false)")
            cursor.execute(_RECORDED)
            waiting = _not_applied(cursor, folder.parent.name, files)
            for migration in waiting:
                _apply(cursor, folder.parent.name, migration)
            return [migration.name for migration in waiting]
    except psycopg2.Error as error:
        raise unavailable(error) from None
    finally:
        connection.close()


def pending(dsn: str, folder: Path = EVENTS_MIGRATIONS) -> list[str]:
    """Return the names of the migrations that are not applied yet, changing nothing.

    Raises ``SchemaMismatch`` as :func:`migrate` does, ``StoreUnavailable``.
    """
    files = read_folder(folder)
    connection = connect(dsn, "casekeeper migrate")
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('schema_migrations') IS NOT NULL")
            if not (cursor.fetchone() or (False,))[0]:
                return [migration.name for migration in files]
            return [migration.name for migration in _not_applied(cursor, folder.parent.name, files)]
    except psycopg2.Error as error:
        raise unavailable(error) from None
    finally:
        connection.close()


def read_folder(folder: Path) -> list[Migration]:
    """Return a folder's migrations in order. Raises ``SchemaMismatch`` when their numbers do not run 1, 2, 3, …."""
    files: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        match = re.fullmatch(r"(\d{4})_\w+", path.stem)
        if match is None or int(match[1]) != len(files) + 1:
            raise SchemaMismatch(f"migration {path.name} is out of sequence")
        files.append(Migration(int(match[1]), path.stem, path.read_text()))
    return files


def _not_applied(cursor: Cursor, room: str, files: list[Migration]) -> list[Migration]:
    cursor.execute("SELECT name, sha256 FROM schema_migrations WHERE room = %s ORDER BY number", (room,))
    applied = cursor.fetchall()
    if len(applied) > len(files):
        raise SchemaMismatch(f"the database is newer than this program: it has migration {applied[-1][0]}")
    for (name, sha256), migration in zip(applied, files, strict=False):
        if (name, sha256) != (migration.name, migration.sha256):
            raise SchemaMismatch(f"migration {name} was changed after it was applied")
    return files[len(applied) :]


def _apply(cursor: Cursor, room: str, migration: Migration) -> None:
    cursor.execute("BEGIN")
    cursor.execute(migration.sql)
    cursor.execute(
        "INSERT INTO schema_migrations (room, number, name, sha256) VALUES (%s, %s, %s, %s)",
        (room, migration.number, migration.name, migration.sha256),
    )
    cursor.execute("COMMIT")
