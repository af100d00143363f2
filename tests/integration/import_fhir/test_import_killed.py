"""An import killed with SIGKILL while it publishes goes on when it is started again, and doubles nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter

from fhir_bundles import MRN, condition, patient

PEOPLE = 200


def test_killed_midway_and_started_again(copy, tmp_path):
    path = tmp_path / "people.ndjson"
    with path.open("w") as out:
        for n in range(PEOPLE):
            person = patient(f"p{n}", f"Name {n}", mrn=f"K-{n}")
            out.write(json.dumps(person) + "\n" + json.dumps(condition("Asthma", f"Patient/p{n}")) + "\n")
    command = [sys.executable, "-m", "cli.main", "import", "fhir", str(path), "--json"]

    process = subprocess.Popen(command, env=copy.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while copy.counts()["IntakeSubmitted"] < PEOPLE // 8:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.communicate()
    midway = copy.counts()
    second = subprocess.run(command, env=copy.environment(), capture_output=True, timeout=120, check=False)

    report = json.loads(second.stdout)
    counts = copy.counts()
    assert midway["IntakeSubmitted"] < PEOPLE
    assert second.returncode == 0, second.stderr
    assert (report["people"]["found"], report["people"]["refused"]) == (PEOPLE, 0)
    assert report["people"]["known"] > 0
    assert [counts[t] for t in ("SubjectRegistered", "CaseOpened", "IntakeSubmitted")] == [PEOPLE] * 3
    per_person = Counter(r.subject_ids for r in copy.records() if r.type in ("CaseOpened", "IntakeSubmitted"))
    assert set(per_person.values()) == {2}
    assert MRN not in second.stdout.decode()


def test_a_file_that_cannot_be_read_to_its_end_is_exit_status_1(copy, tmp_path):
    path = tmp_path / "broken.json"
    path.write_text('{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Pat')
    command = [sys.executable, "-m", "cli.main", "import", "fhir", str(path), "--dry-run"]

    done = subprocess.run(command, env=copy.environment(), capture_output=True, timeout=60, check=False)

    assert done.returncode == 1
    assert b"file 1 entry 0: (file), malformed-json" in done.stdout
    assert str(path).encode() not in done.stdout + done.stderr
