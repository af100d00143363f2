"""A connection in the clear stays on this machine: any other is refused, unless a network is said to be closed."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pytest

from application.settings import Settings
from domain.errors import SettingInvalid

AT_HOME = [
    "",
    "dbname=e",
    "host=/run/postgresql dbname=e",
    "host=@abstract",
    "host=127.0.0.1 port=1",
    "host=::1",
    "host=LOCALHOST",
    "postgresql://someone:secret@127.0.0.1:1/e",
    "postgresql://someone:secret@/e?host=/run/postgresql",
    "host=127.0.0.1,/run/postgresql",
    "host=db.example hostaddr=127.0.0.1",
    "host=db.example,localhost hostaddr=127.0.0.1,",
    "host=db.example,/run/postgresql hostaddr=::1,",
    "hostaddr=127.0.0.1,::1",
    "hostaddr=127.0.0.1,",
    "host=db.example sslmode=verify-full",
    "postgresql://someone:secret@db.example/e?sslmode=verify-full&sslrootcert=/ca.pem",
]
ELSEWHERE = [
    "host=db.example password=secret",
    "host=10.0.0.7 password=secret",
    "host=db.example password=secret sslmode=prefer",
    "host=db.example password=secret sslmode=disable",
    # These two encrypt, to whoever answers.
    "host=db.example password=secret sslmode=require",
    "host=db.example password=secret sslmode=verify-ca",
    "host=127.0.0.1,db.example password=secret",
    "host=localhost hostaddr=10.0.0.7 password=secret",
    "host=localhost.example password=secret",
    # Where an address is empty, the name counts.
    "host=localhost,db.example hostaddr=127.0.0.1, password=secret",
    "host=db.example,localhost hostaddr=,127.0.0.1 password=secret",
    "host=localhost,db.example hostaddr=, password=secret",
    "host=db.example hostaddr='' password=secret",
    "host=db.example,localhost hostaddr='' password=secret",
    "host=localhost,localhost hostaddr=127.0.0.1,10.0.0.7 password=secret",
    "postgresql://someone:secret@localhost,db.example/e?hostaddr=127.0.0.1,",
    # libpq refuses lists of different lengths.
    "host=localhost hostaddr=127.0.0.1, password=secret",
    "host=localhost,localhost hostaddr=127.0.0.1 password=secret",
    # What a service file says is not known here.
    "service=main password=secret",
    "postgresql://someone:secret@db.example/e",
]


def loaded(home: Path, **variables: str) -> Settings:
    return Settings.load({"CASEKEEPER_HOME": str(home), **variables})


@pytest.mark.parametrize("field", ["EVENTS", "VIEWS", "KEYS"])
@pytest.mark.parametrize("dsn", ELSEWHERE)
def test_a_database_elsewhere_is_reached_by_checked_tls_or_not_at_all(tmp_path: Path, field: str, dsn: str) -> None:
    with pytest.raises(SettingInvalid, match=rf"^CASEKEEPER_{field}_DSN .*sslmode=verify-full") as refused:
        loaded(tmp_path, **{f"CASEKEEPER_{field}_DSN": dsn})

    assert not any(part in str(refused.value) for part in ("secret", "someone", "db.example", "10.0.0.7"))


@pytest.mark.parametrize("dsn", AT_HOME)
def test_on_this_machine_or_by_checked_tls_a_database_is_reached(tmp_path: Path, dsn: str) -> None:
    assert loaded(tmp_path, CASEKEEPER_EVENTS_DSN=dsn).events_dsn == dsn


def test_libpq_goes_to_the_name_where_the_address_is_empty() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        free = nobody.getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as threads:
        server.settimeout(10)
        arrived = threads.submit(lambda: server.accept()[0].close())
        ports = f"{free},{server.getsockname()[1]}"
        with pytest.raises(psycopg2.OperationalError):
            psycopg2.connect(f"host=host.invalid,localhost hostaddr=127.0.0.1, port={ports} connect_timeout=5")

        arrived.result()


@pytest.mark.parametrize(
    "variables",
    [
        {"PGHOST": "db.example"},
        {"PGHOSTADDR": "10.0.0.7"},
        {"PGHOST": "localhost,db.example", "PGHOSTADDR": "127.0.0.1,"},
        {"PGSERVICE": "main"},
    ],
    ids=str,
)
def test_what_libpq_takes_from_its_own_variables_counts(tmp_path: Path, variables: dict[str, str]) -> None:
    with pytest.raises(SettingInvalid, match=r"^CASEKEEPER_EVENTS_DSN "):
        loaded(tmp_path, CASEKEEPER_EVENTS_DSN="dbname=e", **variables)
    # An embedded database has a connection string of its own.
    assert loaded(tmp_path, **variables).events_dsn == ""


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT"])
@pytest.mark.parametrize("servers", ["kafka.example:9092", "127.0.0.1:9092,10.0.0.7:9092", "kafka", "SSL://[::1]:9092"])
def test_brokers_elsewhere_are_reached_by_tls_or_not_at_all(tmp_path: Path, servers: str, protocol: str) -> None:
    signing_in = {"CASEKEEPER_KAFKA_USERNAME": "u", "CASEKEEPER_KAFKA_PASSWORD_FILE": "/p"}
    given = {
        "CASEKEEPER_KAFKA": servers,
        "CASEKEEPER_KAFKA_PROTOCOL": protocol,
        **(signing_in if protocol.startswith("SASL") else {}),
    }
    with pytest.raises(SettingInvalid, match=r"^CASEKEEPER_KAFKA .*CASEKEEPER_KAFKA_PROTOCOL") as refused:
        loaded(tmp_path, **given)
    assert servers not in str(refused.value)
    # Not loaded, but made otherwise: the clients are refused what they need.
    with pytest.raises(SettingInvalid, match=r"^CASEKEEPER_KAFKA "):
        _ = Settings.read({"CASEKEEPER_HOME": str(tmp_path), **given}).brokers

    assert loaded(tmp_path, **given, CASEKEEPER_CLEAR_NETWORK="1").brokers.protocol == protocol


@pytest.mark.parametrize("servers", ["127.0.0.1:9092", "localhost:1,[::1]:2, 127.0.0.2:3", "localhost"])
def test_brokers_of_this_machine_are_reached_in_the_clear(tmp_path: Path, servers: str) -> None:
    assert loaded(tmp_path, CASEKEEPER_KAFKA=servers).brokers.protocol == "PLAINTEXT"


def test_brokers_elsewhere_are_reached_by_tls(tmp_path: Path) -> None:
    settings = loaded(tmp_path, CASEKEEPER_KAFKA="kafka.example:9092", CASEKEEPER_KAFKA_PROTOCOL="SSL")
    assert settings.brokers.options()["ssl_check_hostname"] is True


@pytest.mark.parametrize(("said", "allowed"), [("1", True), ("0", False), ("yes", False), ("", False)])
def test_a_closed_network_is_said_to_be_there_by_one_value_alone(tmp_path: Path, said: str, allowed: bool) -> None:
    given = {"CASEKEEPER_KEYS_DSN": "host=postgres-keys", "CASEKEEPER_CLEAR_NETWORK": said}
    if allowed:
        assert loaded(tmp_path, **given).keys_dsn == "host=postgres-keys"
    else:
        with pytest.raises(SettingInvalid):
            loaded(tmp_path, **given)
