"""Opening a connection: a server that falls silent is noticed, and what we need of a session cannot be switched off.

Kerberos is for connection strings that ask for it (``gssencmode``). The wheel of psycopg2 brings a libkrb5 of 2017:
libpq would run it before every connection over TCP, and it crashes where the environment changes meanwhile.
"""

from __future__ import annotations

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import parse_dsn

CONNECT_SECONDS = 5
SILENT_MS = 15_000
"""From when on what was sent and not acknowledged means that the server is lost."""

_DEFAULTS = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": SILENT_MS,
    "gssencmode": "disable",
}


def open_connection(dsn: str, name: str, **settings: object) -> Connection:
    """Open a connection that ``pg_stat_activity`` shows under a name, with these settings of its session.

    The settings win over those in the connection string; of bounds on silence and Kerberos, the string's win. Raises
    psycopg2's errors, whose text may quote what the string holds.
    """
    given = parse_dsn(dsn)
    options = [given.pop("options", ""), *(f"-c {key}={value}" for key, value in settings.items())]
    return psycopg2.connect(**{**_DEFAULTS, **given, "options": " ".join(options), "application_name": name})
