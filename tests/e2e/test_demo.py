"""The demonstration set: killed in its middle and started again, it is whole; told once more, it adds nothing."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter

import pytest

from application.settings import Settings
from store.log import EventLog
from tests.e2e.copy_of_service import CASEKEEPER, Copy

OFFICER = ("privacy_officer", "rights", "p9")
MANAGER = ("case_manager", "casework", "a9")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A copy in which the demonstration was killed at its 150th event and then told to its end."""
    copy = Copy(tmp_path_factory.mktemp("demonstration") / "home")
    copy.start()
    try:
        environment = {**os.environ, "CASEKEEPER_HOME": str(copy.home)}
        log = EventLog(Settings.load(environment).events_dsn)
        process = subprocess.Popen([CASEKEEPER, "demo"], env=environment, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while log.head() < 150:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
        process.wait()
        assert log.head() < 230
        copy.run("demo")
        yield copy, log
        log.close()
    finally:
        copy.stop()


def kinds(log, after=0):
    return Counter(stored.type for stored in log.read_from(after + 1, 10_000))


def test_nobody_is_there_twice(told):
    _, log = told
    found = kinds(log)

    assert [found[t] for t in ("SubjectRegistered", "CaseOpened", "IntakeSubmitted")] == [25, 25, 25]
    assert (found["ErasureCertified"], found["ConsentWithdrawn"], found["DisclosureReleased"]) == (2, 2, 4)
    assert (found["ConsentRefused"], found["DisclosureDenied"], found["CaseClosed"]) == (1, 1, 1)


def test_told_again_it_adds_nothing_but_reads(told):
    copy, log = told
    head = log.head()

    copy.run("demo")

    assert set(kinds(log, head)) <= {"AccessRecorded"}


def test_every_list_has_something_to_show(told):
    copy, log = told
    after = log.head()
    cases = copy.call(MANAGER, "GET", f"/v1/cases?limit=100&after={after}").body["items"]
    requests = copy.call(OFFICER, "GET", f"/v1/requests?limit=100&after={after}").body["items"]

    assert len(cases) == 25
    assert {case["state"] for case in cases} == {"open", "closed"}
    assert any(case["open_tasks"] for case in cases)
    assert {request["state"] for request in requests} >= {"received", "verified", "refused", "certified"}
    closed = next(case["id"] for case in cases if case["state"] == "closed")
    page = copy.call(MANAGER, "GET", f"/v1/cases/{closed}").body
    assert page["notes"]
    assert page["intakes"][0]["answers"]["insurance"]["insurer"]


def test_an_erased_person_is_a_tombstone_in_the_replay(told):
    copy, log = told
    destroyed = [s for s in log.read_from(1, 10_000) if s.type == "ErasureKeysDestroyed"]
    subjects = [json.loads(stored.record)["subject_ids"][0] for stored in destroyed]

    replays = [json.loads(copy.run("audit", "replay", "--subject", s, "--json").stdout) for s in subjects]

    assert sorted(r["state"]["subject"]["state"] for r in replays) == ["erased", "registered"]
    whole = next(r for r in replays if r["state"]["subject"]["state"] == "erased")
    sealed = [part for entry in whole["history"] for part in entry["sealed"].values()]
    assert sealed
    assert all("erased" in part for part in sealed)
    assert whole["state"]["erasures"][0]["state"] == "certified"
    shown = copy.run("audit", "replay", "--subject", whole["subject_id"]).stdout
    assert f"certificate {whole['state']['erasures'][0]['certificate_id']}" in shown
