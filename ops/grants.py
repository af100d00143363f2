"""What each kind of process may do with the tables, granted by their owner after the migrations.

Least privilege: events are appended through functions that check, never inserted, changed or deleted directly; only
the worker, which takes keys and outdated records away, may delete. Where the roles do not exist (a server of the user's
with one account for all) nothing is granted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from ops.errors import LocalServerError
from ops.roles import API, SERVICES, WORKER


@dataclass(frozen=True)
class Grants:
    """Rights of one role in one store. ``functions``: names it may call; None: all."""

    on_all: str
    on_tables: Mapping[str, str] = field(default_factory=dict)
    functions: Sequence[str] | None = None


GRANTS: Mapping[str, Mapping[str, Grants]] = {
    "events": {
        API: Grants("SELECT", {}, ("append_commands",)),
        WORKER: Grants("SELECT"),
    },
    "keys": {
        # Notes of changes are taken away by whoever puts them into the key change log.
        API: Grants("SELECT, INSERT, UPDATE", {"key_change": "DELETE"}),
        WORKER: Grants("SELECT, INSERT, UPDATE, DELETE"),
    },
}
"""Rights per store and role."""


def grant(dsn: str, store: str) -> list[str]:
    """Give the service roles their rights in ``store`` ("events" or "keys"), as its owner; return the roles.

    Rights given before and not listed any more are taken back. Raises LocalServerError if PostgreSQL refuses.
    """
    try:
        connection = psycopg2.connect(dsn)
    except psycopg2.OperationalError:
        raise LocalServerError(f"the {store} database cannot be reached") from None
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", (list(SERVICES),))
            roles = [role for (role,) in cursor.fetchall()]
            for role in roles:
                _grant(cursor, role, GRANTS[store][role])
            return roles
    except psycopg2.Error as error:
        raise LocalServerError(f"rights in the {store} database were refused ({error.pgcode})") from None
    finally:
        connection.close()


def _grant(cursor: Cursor, role: str, grants: Grants) -> None:
    name, schema = sql.Identifier(role), sql.Identifier("public")
    for kind in ("TABLES", "SEQUENCES", "FUNCTIONS"):
        cursor.execute(sql.SQL("REVOKE ALL ON ALL {} IN SCHEMA {} FROM {}").format(sql.SQL(kind), schema, name))
    cursor.execute(sql.SQL("GRANT {} ON ALL TABLES IN SCHEMA {} TO {}").format(sql.SQL(grants.on_all), schema, name))
    cursor.execute(sql.SQL("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {} TO {}").format(schema, name))
    for table, rights in grants.on_tables.items():
        cursor.execute(sql.SQL("GRANT {} ON TABLE {} TO {}").format(sql.SQL(rights), sql.Identifier(table), name))
    if grants.functions is None:
        cursor.execute(sql.SQL("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {} TO {}").format(schema, name))
    for function in grants.functions or ():
        cursor.execute(sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(sql.Identifier(function), name))
