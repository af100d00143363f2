"""Connections for reading the views, and errors that carry none of the server's text."""

from __future__ import annotations

import psycopg2
from psycopg2.extensions import connection as Connection

from domain.errors import ViewsUnavailable
from postgres.opening import open_connection

STATEMENT_TIMEOUT_MS = 5_000
"""Longest that one query may take at the server."""


def connect(dsn: str) -> Connection:
    """Open a connection in autocommit. Raises ``ViewsUnavailable``."""
    try:
        connection = open_connection(dsn, "casekeeper views", statement_timeout=STATEMENT_TIMEOUT_MS)
    except psycopg2.Error as error:
        raise unavailable(error) from None
    connection.autocommit = True
    return connection


def unavailable(error: psycopg2.Error) -> ViewsUnavailable:
    """Return our error for one of the driver's: its SQLSTATE, and nothing of its text."""
    if error.pgcode is None:
        return ViewsUnavailable("the views cannot be reached")
    return ViewsUnavailable(f"the views refused (SQLSTATE {error.pgcode})")
