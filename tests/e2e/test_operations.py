"""The operations page, typed as it stands, and every address of metrics that a running copy names."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from tests.callers import INTAKE_SERVICE
from tests.e2e.copy_of_service import Copy
from tests.e2e.journey import Markers, subject_body

ROOT = Path(__file__).parents[2]


def test_the_commands_of_the_page_run(copy: Copy) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", "\n".join(blocks)],
        cwd=ROOT,
        env={**copy.environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr + done.stdout
    assert blocks
    assert '"ready": true' in done.stdout
    for check in ("events", "writes", "relay", "workers", "topics", "keyring", "server logs", "api"):
        assert re.search(rf"^ok +{check} ", done.stdout, re.MULTILINE), check


def scraped(address: str) -> str:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return str(answer.read().decode())


def test_every_address_in_runtime_json_answers_with_metrics(copy: Copy) -> None:
    markers = Markers()
    reply = copy.call(INTAKE_SERVICE, "POST", "/v1/subjects", subject_body(markers))
    copy.call(None, "GET", f"/v1/{markers('path')}?{markers('query')}=1")
    addresses = json.loads((copy.home / "runtime.json").read_text())["metrics"]

    api, worker = addresses
    deadline = time.monotonic() + 20
    while not re.search(r"casekeeper_relay_published_total [1-9]", scraped(worker)):
        assert time.monotonic() < deadline, "the relay's metrics do not move"
    texts = {address: scraped(address) for address in addresses}

    assert api == f"{copy.url}/metrics"
    assert worker.startswith("http://127.0.0.1:")
    assert re.search(r'casekeeper_view_lag\{view="people"\} \d', texts[api])
    assert re.search(r"casekeeper_append_seconds_count [1-9]", texts[api])
    assert re.search(r"casekeeper_relay_lag \d", texts[worker])
    for text in texts.values():
        assert re.search(r"process_resident_memory_bytes [1-9]", text)
        assert reply.body["id"] not in text
        assert [marker for marker in markers.made if marker in text] == []


def test_no_process_of_a_running_copy_may_dump_its_memory(copy: Copy) -> None:
    """The supervisor, what it started, and what those started: among them the web server's worker and Java."""
    runtime = json.loads((copy.home / "runtime.json").read_text())
    started = {process["name"]: process["pid"] for process in runtime["processes"] if process["pid"] is not None}
    allowed: dict[int, str] = {}
    for pid in (runtime["supervisor"]["pid"], *started.values()):
        # What runs once, such as migrating, has ended.
        with suppress(FileNotFoundError, ProcessLookupError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            for one in (pid, *map(int, children)):
                limits = Path(f"/proc/{one}/limits").read_text()
                [allowed[one]] = re.findall(r"^Max core file size +(\w+)", limits, re.MULTILINE)

    assert {"kafka", "pg-main", "pg-keys", "api", "worker"} <= started.keys()
    assert {runtime["supervisor"]["pid"], *(started[name] for name in ("kafka", "api", "worker"))} < allowed.keys()
    assert len(allowed) >= 12, "also the web server's worker and PostgreSQL's processes"
    assert set(allowed.values()) == {"1"}
