"""docker-compose.yml describes this very program: its commands, settings, roles, and nothing that does not exist.

No container engine runs here: the file is validated by Debian's docker-compose, and compared with the code.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml
from psycopg2.extensions import make_dsn, parse_dsn

from application.settings import Settings, variable
from cli.main import COMMANDS
from ops.kafka.jars import VERSION as KAFKA_VERSION
from ops.postgres import Cluster, programs
from ops.roles import API, CLUSTERS, OWNER, WORKER
from ops.unprivileged import unprivileged

CLONE = Path(__file__).resolve().parents[2]
FILE = CLONE / "docker-compose.yml"
ROLES_SCRIPT = CLONE / "ops" / "docker" / "roles.sh"
GIVEN = {
    "CASEKEEPER_ADMIN_PASSWORD": "admin0",
    "CASEKEEPER_OWNER_PASSWORD": "owner0",
    "CASEKEEPER_API_PASSWORD": "api0",
    "CASEKEEPER_WORKER_PASSWORD": "worker0",
    "CASEKEEPER_ISSUERS_FILE": "/etc/issuers.json",
}
LONG_RUNNING = {"kafka", "postgres-main", "postgres-keys", "api", "worker"}
OURS = {"migrate", "api", "worker"}


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    """Return the file with its variables filled in, read with YAML's own merge rules."""
    text = re.sub(r"\$\{(\w+)(:\?[^}]*)?\}", lambda found: GIVEN[found.group(1)], FILE.read_text())
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def docker_compose_config(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = ["docker-compose", "--file", str(FILE), "config", "--quiet"]
    given = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment}
    return subprocess.run(command, env=given, capture_output=True, text=True, check=False)


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="needs Debian's docker-compose: see make test")
def test_docker_compose_takes_the_file_and_names_each_variable_that_is_missing() -> None:
    assert docker_compose_config(GIVEN).stderr == ""
    assert docker_compose_config(GIVEN).returncode == 0

    for name in GIVEN:
        refused = docker_compose_config({key: value for key, value in GIVEN.items() if key != name})
        assert refused.returncode != 0
        assert f"{name} is not set" in refused.stderr


def test_no_password_has_a_default() -> None:
    text = FILE.read_text()

    assert set(re.findall(r"\$\{(\w+):\?", text)) == set(GIVEN)
    assert set(re.findall(r"\$\{(\w+)[^}]*\}", text)) == set(GIVEN)
    assert re.findall(r"\$\{\w+:?-", text) == []
    assert re.findall(r"PASSWORD\w*: (?!\$\{CASEKEEPER_\w+:\?)", text) == []
    assert re.findall(r"://\w+:(?!\$\{)[^@\s]+@", text) == []


def test_every_command_is_one_of_the_program(composed: dict[str, Any]) -> None:
    ours = {name: service["command"] for name, service in composed["services"].items() if name in OURS}

    assert ours == {name: [name] for name in OURS}
    for (command,) in ours.values():
        assert importlib.import_module(COMMANDS[command][0]).command.name == command
    assert composed["services"]["worker"]["healthcheck"]["test"][1:] == ["casekeeper", "doctor"]
    assert "doctor" in COMMANDS


def test_every_variable_is_a_setting_and_each_process_connects_as_its_own_role(composed: dict[str, Any]) -> None:
    settings = {variable(field.name) for field in fields(Settings)}
    roles = {"migrate": OWNER, "api": API, "worker": WORKER}
    hosts = {"EVENTS": "postgres-main", "VIEWS": "postgres-main", "KEYS": "postgres-keys"}
    for name, role in roles.items():
        environment = composed["services"][name]["environment"]
        assert set(environment) <= settings
        for store, host in hosts.items():
            parts = parse_dsn(environment[f"CASEKEEPER_{store}_DSN"])
            assert (parts["user"], parts["host"], parts["dbname"]) == (role, host, f"casekeeper_{store.lower()}")
        loaded = Settings.load(environment)
        assert (loaded.env, loaded.kafka) == ("production", "kafka:9092")
        # Containers of one machine, with a network of their own: no port of a database or of Kafka is published.
        assert loaded.clear_allowed


def test_every_volume_is_where_the_program_keeps_that_state(composed: dict[str, Any]) -> None:
    used = set()
    for name, service in composed["services"].items():
        for mount in service.get("volumes", []):
            source, target = mount.split(":")[:2]
            if source.startswith("./"):
                assert (CLONE / source).is_file()
            elif not source.startswith("/"):
                used.add(source)
            if name in OURS:
                settings = Settings.load(service["environment"])
                folders = map(str, settings.keyring_location.folders)
                assert target in {settings.home, *folders, settings.keys_log, settings.issuers}
    assert used == set(composed["volumes"])


def test_nothing_leaves_a_core_dump_and_databases_log_as_embedded_ones_do(composed: dict[str, Any]) -> None:
    assert {name: service["ulimits"] for name, service in composed["services"].items()} == {
        name: {"core": 1} for name in LONG_RUNNING | {"migrate"}
    }
    embedded = dict(re.findall(r"^(log_\w+) = (\w+)$", (CLONE / "ops" / "postgres.py").read_text(), re.MULTILINE))
    for name in ("postgres-main", "postgres-keys"):
        given = dict(one.split("=") for one in composed["services"][name]["command"] if "=" in one)
        assert given == {setting: embedded[setting] for setting in given}
        assert given.keys() == {"log_error_verbosity", "log_min_error_statement", "log_parameter_max_length_on_error"}


def test_the_published_port_is_the_one_the_api_listens_on_and_only_on_loopback(composed: dict[str, Any]) -> None:
    api = composed["services"]["api"]
    settings = Settings.load(api["environment"])

    assert api["ports"] == [f"127.0.0.1:8080:{settings.port}"]
    assert f"http://127.0.0.1:{settings.port}/health/live" in api["healthcheck"]["test"][-1]
    assert all("ports" not in service for name, service in composed["services"].items() if name != "api")


def test_images_have_exact_versions_and_what_runs_on_is_checked_and_restarted(composed: dict[str, Any]) -> None:
    for name, service in composed["services"].items():
        assert re.fullmatch(r"[\w/]+:\d+\.\d+(\.\d+)?(-\w+)?", service["image"]), name
    assert composed["services"]["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"
    assert composed["services"]["postgres-main"]["image"] == composed["services"]["postgres-keys"]["image"]
    assert re.search(r"^FROM python:\d+\.\d+\.\d+-[\w-]+$", (CLONE / "ops/docker/Dockerfile").read_text(), re.M)
    checked = {name for name, service in composed["services"].items() if "healthcheck" in service}
    assert checked == LONG_RUNNING == {n for n, s in composed["services"].items() if s["restart"] == "unless-stopped"}


def test_kafka_is_set_up_as_the_local_broker_is(composed: dict[str, Any]) -> None:
    local = dict(
        line.split("=", 1)
        for line in (CLONE / "ops/kafka/server.properties").read_text().splitlines()
        if "=" in line and not line.startswith("#")
    )
    container = composed["services"]["kafka"]["environment"]
    for name in ("auto.create.topics.enable", "message.max.bytes", "offsets.retention.minutes"):
        assert container[f"KAFKA_{name.replace('.', '_').upper()}"] == local[name]


@pytest.fixture
def empty_cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path / "pg-main")
    cluster.start(tmp_path / "pg-main.log")
    try:
        cluster.wait_ready()
        yield cluster
    finally:
        cluster.stop()


def test_the_script_makes_the_roles_and_databases_that_the_processes_connect_to(
    empty_cluster: Cluster, composed: dict[str, Any]
) -> None:
    psql = programs(unprivileged())
    admin = parse_dsn(empty_cluster.dsn("casekeeper_admin", "postgres"))
    databases = composed["services"]["postgres-main"]["environment"]["CASEKEEPER_DATABASES"]
    assert tuple(databases.split()) == CLUSTERS["pg-main"]
    assert composed["services"]["postgres-keys"]["environment"]["CASEKEEPER_DATABASES"] == CLUSTERS["pg-keys"][0]
    environment = {
        "PATH": f"{psql}:{os.environ['PATH']}",
        "PGHOST": admin["host"],
        "PGPORT": admin["port"],
        "PGPASSWORD": admin["password"],
        "POSTGRES_USER": admin["user"],
        "CASEKEEPER_DATABASES": databases,
        **GIVEN,
    }

    done = subprocess.run([str(ROLES_SCRIPT)], env=environment, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    for name, role in (("migrate", OWNER), ("api", API), ("worker", WORKER)):
        for store in ("EVENTS", "VIEWS"):
            dsn = composed["services"][name]["environment"][f"CASEKEEPER_{store}_DSN"]
            connection = psycopg2.connect(make_dsn(dsn, host=admin["host"], port=admin["port"]))
            with connection.cursor() as cursor:
                cursor.execute("SELECT current_user, has_schema_privilege('public', 'CREATE')")
                assert cursor.fetchone() == (role, role == OWNER or (role == WORKER and store == "VIEWS"))
                cursor.execute("SHOW log_min_messages")
                assert cursor.fetchone() == ("log",)
            connection.close()
