"""What a process of ours writes to its output shows no text of an exception, a warning or a library.

Each thing is done in a process of its own with our logging, and in another with Python's, where it must be seen.
"""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

import pytest
from telling_process import STEPS

from ops.ports import answers, free_port
from tests.waiting import until

FOLDER = Path(__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(FOLDER), str(FOLDER.parents[1])])}


def written(step: str, marker: str, whose: str, *more: str) -> str:
    """Return all that the process wrote."""
    command = [sys.executable, str(FOLDER / "telling_process.py"), step, marker, whose, *more]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120)
    return done.stdout + done.stderr


@pytest.mark.parametrize("step", STEPS)
def test_a_process_shows_class_and_place_and_no_text(
    step: str, marker: str, pg_main: str, new_database: Callable[..., str]
) -> None:
    more = [new_database(pg_main, "telling")] if step == "a_driver_error_at_the_end_of_a_command" else []
    ours, pythons = written(step, marker, "ours", *more), written(step, marker, "pythons", *more)

    assert marker in pythons, "the thing itself tells"
    assert marker not in ours
    if more:
        assert ours == "Error: PostgreSQL refused (23505)\n"
    else:
        assert '"level": ' in ours, "that something happened is logged"


def served(whose: str, marker: str, log: Path) -> str:
    """Return what the server wrote while its application failed twice, and what it answered."""
    port = free_port()
    environment = {**ENVIRONMENT, "CASEKEEPER_PORT": str(port), "PYTHONUNBUFFERED": "1"}
    with open(log, "wb") as output:
        command = [sys.executable, str(FOLDER / "failing_server.py"), whose, marker]
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        until(lambda: answers(port), 60, "the server to answer")
        for path in ("/at-once", "/later"):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
                    told = str(answer.headers) + answer.read().decode()
            except urllib.error.HTTPError as error:
                told = str(error.headers) + error.read().decode()
            except (HTTPException, OSError) as error:
                told = str(error)
            assert marker not in told
    finally:
        server.terminate()
        server.wait(30)
    return log.read_text()


def test_the_web_server_shows_no_text_of_an_application_that_fails(tmp_path: Path, marker: str) -> None:
    theirs = served("theirs", marker, tmp_path / "theirs.log")
    ours = served("ours", marker, tmp_path / "ours.log")

    assert f"cannot answer {marker}" in theirs, "the server by itself tells"
    assert marker not in ours
