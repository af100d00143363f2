"""Publishing services at the command line: the key that is printed once works, until it is revoked."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from application import inbox_keys, signing_keys
from casekeeper_client import Accepted, Client, NoOutcome

BODY = {"identity": {"family_name": "Heide"}, "notice": {"policy_version": "1"}}


def actors(copy, *arguments):
    command = [sys.executable, "-m", "cli.main", "actors", *arguments]
    return subprocess.run(command, env=copy.environment(), capture_output=True, timeout=60, check=False, text=True)


def listed(copy):
    items = json.loads(actors(copy, "list", "--json").stdout)["items"]
    return {item["publisher_id"]: (item["service"], item["state"]) for item in items}


def test_add_use_list_revoke(copy):
    made = json.loads(actors(copy, "add", "--service", "web-forms", "--json").stdout)
    publisher_id = made["publisher_id"]
    key = inbox_keys.current_jwk(copy.service.vault, copy.service.clock())
    keys = {"keys": signing_keys.public_keys(copy.service.vault, copy.service.clock(), signing_keys.OUTCOMES)}
    prefix = copy.settings.topic_prefix
    with Client(copy.settings.kafka, key, publisher_id, made["private_key"], prefix, outcome_keys=keys) as client:
        first = client.wait_for_outcome(client.publish("register_subject", BODY))
        assert isinstance(first, Accepted)
        assert listed(copy)[publisher_id] == ("web-forms", "active")

        assert actors(copy, "revoke", publisher_id).returncode == 0
        time.sleep(2.5)  # as long as a worker may keep a publisher in mind
        second = client.publish("register_subject", BODY)
        with pytest.raises(NoOutcome):
            client.wait_for_outcome(second, timeout=3)

    assert listed(copy)[publisher_id] == ("web-forms", "revoked")
    assert made["private_key"]["d"] not in actors(copy, "list", "--json").stdout


def test_the_service_brings_its_own_key(copy):
    public_key = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"

    shown = actors(copy, "add", "--service", "billing", "--public-key", public_key).stdout

    assert public_key in shown
    assert "private key" not in shown


@pytest.mark.parametrize("arguments", [("--service", "two words"), ("--service", "x", "--public-key", "short"), ()])
def test_what_is_not_taken(copy, arguments):
    done = actors(copy, "add", *arguments)

    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "two words" not in done.stderr
