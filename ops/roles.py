"""Roles and databases of the embedded clusters: a role per kind of process, each with what it needs.

``casekeeper_owner`` migrates and owns every database. ``casekeeper_api`` and ``casekeeper_worker`` serve; what they may
do with tables is in :mod:`ops.grants`.
"""

from __future__ import annotations

from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import encrypt_password

from ops.postgres import Cluster

OWNER = "casekeeper_owner"
API = "casekeeper_api"
WORKER = "casekeeper_worker"
SERVICES = (API, WORKER)

EVENTS = "casekeeper_events"
VIEWS = "casekeeper_views"
KEYS = "casekeeper_keys"

CLUSTERS = {"pg-main": (EVENTS, VIEWS), "pg-keys": (KEYS,)}
"""Databases of each cluster: keys live apart, because they are never restored to the past."""

_SERVICES = sql.SQL(", ").join(sql.Identifier(role) for role in SERVICES)


def provision(cluster: Cluster) -> None:
    """Make the roles and databases of a running cluster, or mend what is missing; safe to repeat."""
    connection = cluster.connect()
    try:
        for role in (OWNER, *SERVICES):
            _make_role(connection, role, cluster.password(role))
            _log_no_errors_of(connection, role)
        for database in CLUSTERS[cluster.name]:
            _make_database(connection, database)
    finally:
        connection.close()
    for database in CLUSTERS[cluster.name]:
        connection = cluster.connect(database)
        try:
            _open_schema(connection, database)
        finally:
            connection.close()


def _make_role(connection: Connection, role: str, password: str) -> None:
    """Make or refresh a role; the server sees a SCRAM verifier, never the password."""
    verifier = encrypt_password(password, role, connection, "scram-sha-256")
    extra = sql.SQL("CREATEDB" if role == OWNER else "NOCREATEDB")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
        verb = sql.SQL("ALTER" if cursor.fetchone() else "CREATE")
        cursor.execute(
            sql.SQL("{} ROLE {} LOGIN NOSUPERUSER NOCREATEROLE {} PASSWORD {}").format(
                verb, sql.Identifier(role), extra, sql.Literal(verifier)
            )
        )


def _log_no_errors_of(connection: Connection, role: str) -> None:
    """Keep errors of a role's sessions out of the server's log: their first line can quote what was sent.

    The client has them, and logs class and SQLSTATE; what the server says about itself is logged as before.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("ALTER ROLE {} SET log_min_messages = 'log'").format(sql.Identifier(role)))


def _make_database(connection: Connection, database: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
        if cursor.fetchone() is None:
            cursor.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), sql.Identifier(OWNER))
            )
        cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))
        cursor.execute(
            sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(sql.Identifier(database), _SERVICES)
        )


def _open_schema(connection: Connection, database: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        cursor.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(sql.Identifier(OWNER)))
        cursor.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(_SERVICES))
        if database == VIEWS:
            cursor.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(sql.Identifier(WORKER)))
            # Views are made by the worker, at any time, and read by the API.
            statement = "ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA public GRANT SELECT ON TABLES TO {}"
            cursor.execute(sql.SQL(statement).format(sql.Identifier(WORKER), sql.Identifier(API)))
