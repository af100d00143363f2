"""``casekeeper api`` and ``casekeeper token`` as processes: served for real, stopped gracefully."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from api_world import api_process, environment

from application.examples import BODIES
from ops.ports import answers


def casekeeper(world, *arguments, **more):
    command = [sys.executable, "-m", "cli.main", *arguments]
    return subprocess.run(
        command, env=environment(world, **more), capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(scope="module")
def port(world):
    with api_process(world) as (port, _):
        yield port


def call(port, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def bearer(world, role="service", purpose="intake"):
    return {"Authorization": f"Bearer {world.token(role, purpose)}", "Content-Type": "application/json"}


def test_a_person_is_registered_through_the_real_server(world, port):
    status, body = call(port, "POST", "/v1/subjects", json.dumps(BODIES["register_subject"]), **bearer(world))

    assert status == 201
    assert set(json.loads(body)) == {"id", "receipt"}


def test_sixteen_at_once_are_all_answered(world, port):
    results = []

    def register():
        results.append(call(port, "POST", "/v1/subjects", json.dumps(BODIES["register_subject"]), **bearer(world))[0])

    threads = [threading.Thread(target=register) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [201] * 16


def test_a_body_of_unknown_length_is_411_and_the_answer_reaches_a_sender_who_writes_first(world, port):
    chunks = (b"x" * 65536 for _ in range(32))
    status, body = call(port, "POST", "/v1/subjects", chunks, **bearer(world))

    assert status == 411
    assert json.loads(body)["type"] == "urn:casekeeper:problem:length-required"


def test_a_header_that_is_no_http_is_refused_and_the_server_lives(world, port):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        raw.sendall(b"GET /v1/cases HTTP/1.1\r\nHost: x\r\nBad\x00Header: 1\r\n\r\n")
        first = raw.recv(64)

    assert first.startswith(b"HTTP/1.1 400")
    assert call(port, "GET", "/health/live")[0] == 200


def test_sigterm_finishes_what_is_under_way_and_ends_with_0(world):
    answers = []
    with api_process(world) as (port, process):
        with world.projector.paused():
            _, case = world.registered()
            path = f"/v1/cases/{case}?after={world.log.head()}"
            headers = bearer(world, "case_manager", "casework")
            waiting = threading.Thread(target=lambda: answers.append(call(port, "GET", path, **headers)[0]))
            waiting.start()
            waiting.join(0.5)
            assert waiting.is_alive()
            process.send_signal(signal.SIGTERM)
        waiting.join(15)
        out, err = process.communicate(timeout=15)

    assert answers == [200]
    assert process.returncode == 0
    assert out == f"http://127.0.0.1:{port}\n"
    assert "Traceback" not in err


@pytest.mark.parametrize("hangs", [False, True])
def test_the_worker_ends_when_the_process_that_started_it_is_killed(world, hangs):
    with api_process(world) as (port, process):
        if hangs:
            for worker in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
                os.kill(int(worker), signal.SIGSTOP)
        process.kill()
        process.wait(timeout=10)
        deadline, pause = time.monotonic() + 10, threading.Event()
        while answers(port):
            assert time.monotonic() < deadline, "somebody still answers"
            pause.wait(0.05)

    assert process.returncode == -signal.SIGKILL


def test_the_process_ends_with_an_error_when_the_store_is_away(world):
    outcome = casekeeper(
        world, "api", CASEKEEPER_KEYS_DSN="host=127.0.0.1 port=1 password=hunter2", CASEKEEPER_PORT="0"
    )

    assert outcome.returncode != 0
    assert '"event": "api cannot start"' in outcome.stderr
    assert "hunter2" not in outcome.stderr + outcome.stdout
    assert "Traceback" not in outcome.stderr


def test_the_token_command_prints_a_token_that_works(world, port):
    outcome = casekeeper(world, "token", "--role", "case_manager", "--actor", "a1", "--purpose", "casework")
    status, _ = call(port, "GET", "/v1/cases", Authorization=f"Bearer {outcome.stdout.strip()}")

    assert (outcome.returncode, status) == (0, 200)


@pytest.mark.parametrize(
    ("arguments", "environment_of"),
    [
        (["--actor", "ann@example.org"], {}),
        (["--actor", "a1"], {"CASEKEEPER_ENV": "production"}),
    ],
)
def test_the_token_command_refuses(world, arguments, environment_of):
    outcome = casekeeper(
        world, "token", "--role", "case_manager", "--purpose", "casework", *arguments, **environment_of
    )

    assert outcome.returncode != 0
    assert outcome.stdout == ""
    assert "Traceback" not in outcome.stderr
    assert "ann@example.org" not in outcome.stderr
