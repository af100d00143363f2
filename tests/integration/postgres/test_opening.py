"""What a connection is opened with: bounds on silence, no Kerberos, and settings that a string cannot switch off."""

from __future__ import annotations

import os
import socket
from contextlib import closing

import pytest
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import make_dsn, parse_dsn

from postgres.opening import open_connection


def shown(connection: Connection, *names: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(f'current_setting({name!r})' for name in names)}")
        [row] = cursor.fetchall()
    return list(row)


def test_settings_of_ours_win_over_those_of_the_connection_string(pg_main: str) -> None:
    given = parse_dsn(pg_main).get("options", "")
    dsn = make_dsn(pg_main, options=f"{given} -c statement_timeout=0 -c work_mem=5MB", application_name="theirs")

    with closing(open_connection(dsn, "ours", statement_timeout=1234)) as connection:
        assert shown(connection, "statement_timeout", "work_mem", "application_name") == ["1234ms", "5MB", "ours"]


def test_a_setting_with_a_space_arrives_whole(pg_main: str) -> None:
    with closing(open_connection(pg_main, "ours", default_transaction_isolation=r"read\ committed")) as connection:
        assert shown(connection, "default_transaction_isolation") == ["read committed"]


@pytest.mark.parametrize(("given", "mode"), [({}, "disable"), ({"gssencmode": "prefer"}, "prefer")])
def test_kerberos_is_tried_only_for_who_asks(pg_main: str, given: dict[str, str], mode: str) -> None:
    with closing(open_connection(make_dsn(pg_main, **given), "ours")) as connection:
        assert connection.info.dsn_parameters["gssencmode"] == mode


@pytest.mark.parametrize(("given", "silent_ms"), [({}, 15_000), ({"tcp_user_timeout": 4_000}, 4_000)])
def test_a_server_that_acknowledges_nothing_is_lost_after_a_bounded_time(
    pg_main: str, given: dict[str, int], silent_ms: int
) -> None:
    over_tcp = make_dsn(pg_main, host="127.0.0.1", **given)
    with (
        closing(open_connection(over_tcp, "ours")) as connection,
        closing(socket.socket(fileno=os.dup(connection.fileno()))) as seen,
    ):
        option = {name: getattr(socket, name) for name in ("TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_KEEPINTVL")}
        found = {name: seen.getsockopt(socket.IPPROTO_TCP, number) for name, number in option.items()}
        assert found == {"TCP_USER_TIMEOUT": silent_ms, "TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2}
