"""With TLS to PostgreSQL and TLS and SASL to Kafka the whole service works; with a wrong authority nothing does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from application.brokers import Brokers
from consumers.clients import admin
from domain.errors import KafkaUnavailable
from tests.callers import INTAKE_SERVICE, MANAGER
from tests.e2e.certificates import Authority
from tests.e2e.copy_of_service import Copy
from tests.e2e.encrypted_servers import DATABASES, PASSWORD, USER, EncryptedBroker, EncryptedPostgres
from tests.e2e.journey import Markers, subject_body


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("encrypted")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder / "authority")


@pytest.fixture(scope="module")
def broker(folder: Path, authority: Authority) -> Iterator[EncryptedBroker]:
    running = EncryptedBroker(folder / "kafka", authority)
    running.start(folder / "kafka.log")
    running.wait_ready()
    running.add_user()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def postgres(folder: Path, authority: Authority) -> Iterator[EncryptedPostgres]:
    running = EncryptedPostgres(folder / "postgres", authority)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def password_file(folder: Path) -> Path:
    file = folder / "password"
    file.touch(mode=0o600)
    file.write_text(PASSWORD + "\n")
    return file


def settings(broker: EncryptedBroker, postgres: EncryptedPostgres, ca: Path, password_file: Path) -> dict[str, str]:
    dsns = {f"CASEKEEPER_{name.upper()}_DSN": postgres.dsn(name) for name in DATABASES}
    return {
        **dsns,
        "CASEKEEPER_KAFKA": broker.sasl,
        "CASEKEEPER_KAFKA_PROTOCOL": "SASL_SSL",
        "CASEKEEPER_KAFKA_CA": str(ca),
        "CASEKEEPER_KAFKA_USERNAME": USER,
        "CASEKEEPER_KAFKA_PASSWORD_FILE": str(password_file),
    }


def test_the_whole_service_runs_over_encrypted_connections(folder, authority, broker, postgres, password_file) -> None:
    copy = Copy(folder / "home", settings=settings(broker, postgres, authority.certificate, password_file))
    copy.start()
    try:
        made = copy.call(INTAKE_SERVICE, "POST", "/v1/subjects", subject_body(Markers()))
        assert made.status == 201, made
        read = copy.call(MANAGER, "GET", f"/v1/subjects/{made.body['id']}?after={made.body['receipt']['position']}")
        assert read.status == 200, read
        assert unencrypted(postgres) == (0, True)
        checks = {
            check["name"]: check for check in json.loads(copy.run("doctor", "--json", check=False).stdout)["checks"]
        }
        assert checks["kafka"]["state"] == checks["events"]["state"] == "ok", checks
        assert PASSWORD not in copy.run("doctor", check=False).stdout
    finally:
        copy.stop()


def unencrypted(postgres: EncryptedPostgres) -> tuple[int, bool]:
    """Return how many connections of the service are not encrypted, and whether there are any at all."""
    with psycopg2.connect(postgres.dsn("postgres")) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE NOT ssl), count(*) > 5 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
            " WHERE application_name LIKE 'casekeeper%'"
        )
        return cursor.fetchone()


def test_a_certificate_of_ones_own_opens_kafka(authority: Authority, broker: EncryptedBroker) -> None:
    certificate, key = authority.sign("casekeeper")
    known = Brokers((broker.tls,), "SSL", str(authority.certificate), str(certificate), str(key))
    client = admin(known)
    assert isinstance(client.list_topics(), list)
    client.close()
    with pytest.raises(KafkaUnavailable):
        admin(Brokers((broker.tls,), "SSL", str(authority.certificate)))


def test_kafka_that_another_authority_vouches_for_is_not_trusted(
    folder: Path, broker: EncryptedBroker, password_file: Path
) -> None:
    stranger = str(Authority(folder / "stranger").certificate)
    with pytest.raises(KafkaUnavailable):
        admin(Brokers((broker.sasl,), "SASL_SSL", stranger, "", "", "SCRAM-SHA-512", USER, str(password_file)))


def test_a_wrong_password_is_refused_by_kafka(authority: Authority, broker: EncryptedBroker, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("guess")
    ca = str(authority.certificate)
    with pytest.raises(KafkaUnavailable) as refused:
        admin(Brokers((broker.sasl,), "SASL_SSL", ca, "", "", "SCRAM-SHA-512", USER, str(tmp_path / "wrong")))
    assert "guess" not in str(refused.value)


@pytest.mark.parametrize("field", ["EVENTS", "KEYS"])
def test_a_database_that_another_authority_vouches_for_is_not_trusted(
    folder: Path, broker, postgres: EncryptedPostgres, authority: Authority, password_file: Path, field: str
) -> None:
    stranger = Authority(folder / f"stranger-{field}").certificate
    chosen = settings(broker, postgres, authority.certificate, password_file)
    chosen[f"CASEKEEPER_{field}_DSN"] = postgres.dsn(field.lower(), ca=stranger)
    refused = Copy(folder / f"home-{field}", settings=chosen).run("migrate", check=False)
    assert refused.returncode == 1
    assert PASSWORD not in refused.stdout + refused.stderr
