"""Settings of Kafka that contradict each other are refused by name, and never fall back to speaking in the clear."""

from __future__ import annotations

from pathlib import Path

import pytest

from application.settings import Settings
from domain.errors import SettingInvalid

PREFIX = "CASEKEEPER_KAFKA"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"PROTOCOL": "TLS"}, "_PROTOCOL"),
        ({"CA": "/ca.pem"}, "_PROTOCOL"),
        ({"PROTOCOL": "SSL", "CERTIFICATE": "/own.pem"}, "_KEY"),
        ({"PROTOCOL": "SASL_PLAINTEXT", "MECHANISM": "PLAIN", "USERNAME": "a", "PASSWORD_FILE": "/p"}, "_MECHANISM"),
        ({"PROTOCOL": "SASL_SSL"}, "_USERNAME"),
        ({"PROTOCOL": "SASL_SSL", "USERNAME": "casekeeper"}, "_PASSWORD_FILE"),
        ({"PROTOCOL": "SSL", "USERNAME": "casekeeper", "PASSWORD_FILE": "/password"}, "SASL"),
        ({"PROTOCOL": "SASL_SSL", "MECHANISM": "GSSAPI", "USERNAME": "a", "PASSWORD_FILE": "/p"}, "_MECHANISM"),
    ],
)
def test_a_contradiction_is_refused_and_named(tmp_path: Path, given: dict[str, str], named: str) -> None:
    environment = {f"{PREFIX}_{name}": value for name, value in given.items()}
    settings = Settings.load({"CASEKEEPER_HOME": str(tmp_path), PREFIX: "127.0.0.1:9092", **environment})
    with pytest.raises(SettingInvalid, match=named):
        settings.brokers  # noqa: B018


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    settings = Settings(kafka="127.0.0.1:9092", kafka_protocol="SSL", kafka_ca=str(tmp_path / "missing.pem"))
    with pytest.raises(SettingInvalid, match=r"missing\.pem"):
        settings.brokers.options()


def test_host_names_are_checked_wherever_there_is_tls(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("a secret\n")
    signing_in = Settings(
        kafka="a:1,b:2", kafka_protocol="SASL_SSL", kafka_username="u", kafka_password_file=str(password)
    )
    assert signing_in.brokers.options() == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "SASL_SSL",
        "ssl_check_hostname": True,
        "ssl_cafile": None,
        "ssl_certfile": None,
        "ssl_keyfile": None,
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "u",
        "sasl_plain_password": "a secret",
    }


def test_in_the_clear_nothing_else_is_said() -> None:
    assert Settings(kafka="127.0.0.1:1").brokers.options() == {
        "bootstrap_servers": ["127.0.0.1:1"],
        "security_protocol": "PLAINTEXT",
    }
