"""The command line: help for everything, one line for what is wrong, and no secret on the screen."""

from __future__ import annotations

import importlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from application.settings import Settings, variable
from cli import status
from cli.main import COMMANDS
from cli.setting_list import HIDDEN, listed_settings, masked_dsn, masked_keyring
from consumers.topics import ensure_topics
from ops.runtime import locked
from store.log import EventLog
from vault.vault import Vault


def casekeeper(home: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CASEKEEPER_")}
    environment = {**kept, "CASEKEEPER_HOME": str(home), **settings}
    command = [sys.executable, "-m", "cli.main", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_help_lists_every_command_without_importing_it(tmp_path: Path) -> None:
    code = "import sys; from cli.main import cli; cli(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *_, modules = done.stdout.splitlines()

    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout
    assert [module for module, _ in COMMANDS.values() if module in modules.split()] == []
    assert "psycopg2" not in modules.split()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    command = importlib.import_module(COMMANDS[name][0]).command
    assert isinstance(command, click.Command)
    assert command.name == name
    below = command.commands.values() if isinstance(command, click.Group) else [command]
    for one in below:
        assert one.help
        assert "Example:" in one.help
        assert "casekeeper " in one.help.partition("Example:")[2]


def test_an_unknown_command_is_refused(tmp_path: Path) -> None:
    done = casekeeper(tmp_path, "frobnicate")

    assert done.returncode == 2
    assert "No such command 'frobnicate'" in done.stderr


def test_a_mistyped_command_is_told_apart(tmp_path: Path) -> None:
    assert "Did you mean 'status'" in casekeeper(tmp_path, "statsu").stderr


def test_doctor_names_a_variable_that_is_no_setting(tmp_path: Path) -> None:
    said = casekeeper(tmp_path, "doctor", CASEKEEPER_PROT="1").stdout

    assert "note   variables    CASEKEEPER_PROT is no setting: did you mean CASEKEEPER_PORT?\n" in said
    assert said.count("is no setting") == 1


def test_status_names_the_home_and_tells_starting_from_not_running(tmp_path: Path) -> None:
    home = tmp_path / "home"
    before = casekeeper(home, "status")
    with locked(home):
        meanwhile = casekeeper(home, "status")
    after = casekeeper(home, "status")

    assert (before.returncode, meanwhile.returncode) == (1, 1)
    assert before.stdout.startswith(f"not running in {home}: ")
    assert meanwhile.stdout.startswith(f"starting or stopping in {home}: ")
    assert after.stdout == before.stdout


def test_status_of_a_home_where_nothing_runs(tmp_path: Path) -> None:
    done = casekeeper(tmp_path, "status", "--json")

    assert done.returncode == 1
    assert json.loads(done.stdout) == {
        "ready": False,
        "home": str(tmp_path),
        "held": False,
        "url": "",
        "kafka": "",
        "processes": [],
        "views": [],
        "degraded": [],
    }


@pytest.mark.parametrize(
    ("ready", "degraded", "first"),
    [(True, [], "ready"), (True, ["relay"], "ready, degraded"), (False, ["store"], "not ready")],
)
def test_the_first_word_of_a_status_says_what_is_wrong(ready, degraded, first, monkeypatch) -> None:
    api = {"name": "api", "state": "running", "pid": 1, "restarts": 0}
    report = {"ready": ready, "degraded": degraded, "processes": [api], "views": [], "url": "http://here", "kafka": "k"}
    monkeypatch.setattr(status, "status", lambda settings: report)

    said = CliRunner().invoke(status.command)

    assert said.output.splitlines()[0] == f"{first}  http://here  kafka k"
    assert [line.strip() for line in said.output.splitlines()[2:]] == [f"degraded: {what}" for what in degraded]
    assert said.exit_code == (0 if ready else 1)


@pytest.mark.parametrize(
    "command", [["keys", "verify"], ["token", "--role", "regulator", "--actor", "r", "--purpose", "audit"]]
)
def test_where_nothing_runs_the_home_that_was_looked_in_is_named(command: list[str], tmp_path: Path) -> None:
    done = casekeeper(tmp_path / "home", *command)

    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert f"no copy runs in {tmp_path / 'home'}" in line
    assert "CASEKEEPER_HOME" in line


def test_a_backup_of_nothing_makes_nothing(tmp_path: Path) -> None:
    done = casekeeper(tmp_path / "home", "backup", "--to", str(tmp_path / "backup"))

    assert done.returncode == 1
    assert done.stderr == f"Error: no installation in {tmp_path / 'home'}: no pg-main and no pg-keys\n"
    assert list(tmp_path.iterdir()) == []


def test_doctor_does_not_call_a_keyring_right_that_it_cannot_compare(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o700)

    said = casekeeper(tmp_path / "home", "doctor", CASEKEEPER_KEYRING=f"file:{empty}").stdout

    assert re.search(
        rf"^note +keyring +{re.escape(str(empty))}, not compared: no keys cluster is known", said, re.MULTILINE
    )


def test_migrate_without_a_database_says_what_to_do(tmp_path: Path) -> None:
    done = casekeeper(tmp_path, "migrate")

    assert done.returncode == 1
    assert done.stderr == "Error: no database: start casekeeper up, or set CASEKEEPER_EVENTS_DSN and its like\n"


def test_migrate_brings_both_stores_up_and_then_finds_them_current(
    tmp_path: Path, pg_main: str, pg_keys: str, new_database
) -> None:
    dsns = {
        "CASEKEEPER_EVENTS_DSN": new_database(pg_main, "migrate"),
        "CASEKEEPER_KEYS_DSN": new_database(pg_keys, "migrate"),
    }

    first = casekeeper(tmp_path, "migrate", "--json", **dsns)
    again = casekeeper(tmp_path, "migrate", "--json", **dsns)

    applied = json.loads(first.stdout)
    assert applied["events"][0] == "0001_log"
    assert applied["keys"]
    assert json.loads(again.stdout) == {"events": [], "keys": []}


def test_doctor_names_every_setting_and_hides_passwords(tmp_path: Path) -> None:
    done = casekeeper(
        tmp_path,
        "doctor",
        CASEKEEPER_EVENTS_DSN="postgresql://someone:tell-nobody@127.0.0.1:1/events",
        CASEKEEPER_KAFKA="127.0.0.1:1",
    )

    assert done.returncode == 1
    for field in fields(Settings):
        assert f"{variable(field.name)}=" in done.stdout
    assert "tell-nobody" not in done.stdout + done.stderr
    assert re.search(r"^WRONG  kafka +no answer from 127\.0\.0\.1:1: start it", done.stdout, re.MULTILINE)
    assert re.search(r"^WRONG  events +cannot connect: ", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    "command",
    [
        ["migrate"],
        ["worker"],
        ["api"],
        ["up"],
        ["status"],
        ["keys", "verify"],
        ["deadletters", "list"],
        ["rebuild", "people"],
    ],
    ids=" ".join,
)
def test_no_command_speaks_to_another_machine_in_the_clear(tmp_path: Path, command: list[str]) -> None:
    for given, named in (
        ({"CASEKEEPER_KEYS_DSN": "postgresql://someone:tell-nobody@db.example/keys"}, "CASEKEEPER_KEYS_DSN"),
        ({"CASEKEEPER_KAFKA": "kafka.example:9092"}, "CASEKEEPER_KAFKA"),
    ):
        done = casekeeper(tmp_path, *command, **given)

        assert done.returncode == 1
        assert re.fullmatch(
            rf"Error: {named} leads to another machine without .*CASEKEEPER_CLEAR_NETWORK=1 .*\n", done.stderr
        )
        assert not re.search("someone|tell-nobody|example", done.stdout + done.stderr)


def test_doctor_asks_nothing_of_a_server_that_would_be_spoken_to_in_the_clear(tmp_path: Path) -> None:
    # Only an address that is written as one of this machine is taken for one: this one leads here all the same.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        given = {"CASEKEEPER_EVENTS_DSN": f"host=127.1 port={listening.getsockname()[1]} password=tell-nobody"}
        refused = casekeeper(tmp_path, "doctor", **given)
        listening.settimeout(0)
        with pytest.raises(BlockingIOError):
            listening.accept()

        threading.Thread(target=_hang_up, args=(listening,), daemon=True).start()
        allowed = casekeeper(tmp_path, "doctor", **given, CASEKEEPER_CLEAR_NETWORK="1")

    said = "CASEKEEPER_EVENTS_DSN leads to another machine without sslmode=verify-full"
    assert refused.returncode == 1
    assert re.search(rf"^WRONG  certificates +{said}, so no server was signed in to: ", refused.stdout, re.MULTILINE)
    assert re.search(rf"^note   certificates +{said}: ", allowed.stdout, re.MULTILINE)
    assert re.search(r"^WRONG  events +cannot connect: ", allowed.stdout, re.MULTILINE), "now it was asked"
    assert "tell-nobody" not in refused.stdout + refused.stderr + allowed.stdout + allowed.stderr


def _hang_up(listening: socket.socket) -> None:
    listening.settimeout(30)
    with suppress(OSError):
        while True:
            listening.accept()[0].close()


def test_doctor_is_content_with_servers_that_answer(
    tmp_path: Path, pg_main: str, pg_keys: str, kafka_bootstrap: str, new_database
) -> None:
    dsns = {"EVENTS": new_database(pg_main, "doctor"), "KEYS": new_database(pg_keys, "doctor")}
    given = {f"CASEKEEPER_{name}_DSN": dsn for name, dsn in dsns.items()}
    assert casekeeper(tmp_path, "migrate", **given).returncode == 0
    prefix = f"{tmp_path.name}."
    ensure_topics(Settings(kafka=kafka_bootstrap, topic_prefix=prefix))
    with EventLog(dsns["EVENTS"]) as log:
        log.admit_writes(log.admission().incarnation, 0)
    Vault.open_at(dsns["KEYS"], tmp_path / "keyring").close()
    done = casekeeper(
        tmp_path,
        "doctor",
        "--json",
        **given,
        CASEKEEPER_VIEWS_DSN=pg_main,
        CASEKEEPER_KAFKA=kafka_bootstrap,
        CASEKEEPER_TOPIC_PREFIX=prefix,
    )

    checks = {check["name"]: check["state"] for check in json.loads(done.stdout)["checks"]}
    # Nothing runs here: that no worker does is worth a word. Swap is the machine's.
    assert checks.pop("workers") == "warning"
    assert checks.pop("swap") in ("ok", "warning")
    assert checks == dict.fromkeys(checks, "ok")
    assert set(checks) == {
        *("events", "views", "keys", "writes", "keyring", "kafka", "topics"),
        *("certificates", "clock", "disk", "java", "maven", "server logs"),
    }
    assert done.returncode == 0


def test_doctor_does_not_like_a_keyring_that_others_may_enter(tmp_path: Path) -> None:
    (tmp_path / "keyring").mkdir()
    (tmp_path / "keyring").chmod(0o755)

    done = casekeeper(tmp_path, "doctor")

    assert done.returncode == 1
    assert f"chmod 700 {tmp_path / 'keyring'}" in done.stdout


def test_every_setting_says_what_it_means() -> None:
    listed = list(listed_settings(Settings()))

    assert len(listed) == len(fields(Settings))
    assert [one.variable for one in listed if not one.meaning] == []


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("", ""),
        ("postgresql://u:secret@h:5/d", f"user=u password={HIDDEN} dbname=d host=h port=5"),
        ("host=h password='a b' sslpassword=c", f"password={HIDDEN} host=h sslpassword={HIDDEN}"),
        ("password", HIDDEN),
    ],
)
def test_connection_strings_are_shown_without_their_passwords(dsn: str, shown: str) -> None:
    assert masked_dsn(dsn) == shown


def test_what_is_logged_does_not_stand_on_standard_output() -> None:
    code = """
import structlog
import cli.main as program

program.cli.main = lambda **_: structlog.get_logger().error("said")
program.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == ""
    assert json.loads(done.stderr)["event"] == "said"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("file:/a,file:/b", "file:/a,file:/b"),
        ("pkcs11:token=a?module-path=/m.so&pin-source=file:/p", "pkcs11:token=a?module-path=/m.so&pin-source=file:/p"),
        ("pkcs11:token=a?module-path=/m.so&pin-value=canary", HIDDEN),
    ],
)
def test_a_pin_in_the_keyring_s_setting_is_hidden(text: str, shown: str) -> None:
    assert masked_keyring(text) == shown
