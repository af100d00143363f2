"""From the approval of an erasure until the person is refused in every process, and until there is the certificate.

The real programs: a worker with all its parts, and API processes that are asked for the person's case and for the
certificate again and again, as callers would. A sample's time begins when the approval is durable.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection

from api.dev_tokens import DevIssuer
from application.examples import BODIES
from application.service import Service
from bench.api_copy import environment, serving
from bench.figures import Figure, Result, Run, p99
from bench.people import open_case, preview, register
from bench.spine import spine
from bench.worker_process import ALL, keys, worker
from cli.local_service import local_service
from ops.ports import LOOPBACK, free_port

SAMPLES = 100
API_PROCESSES = 2
REFUSED_MS, CERTIFIED_MS = 1_000, 3_000
_PAUSE_SECONDS = 0.02
_GIVE_UP_SECONDS = 60.0
_GIVEN_NAME = BODIES["register_subject"]["identity"]["given_name"]

REFUSED = Figure(
    "approval to refused in every process, p99",
    "ms",
    1.0,
    at_most=True,
    group="full",
    note=f"the goal of {REFUSED_MS:,} ms",
)
CERTIFIED = Figure(
    "approval to certificate, p99", "ms", 1.0, at_most=True, group="full", note=f"the goal of {CERTIFIED_MS:,} ms"
)
FIGURES = (REFUSED, CERTIFIED)


@dataclass(frozen=True)
class _Copy:
    """A running copy: the service in this process, on the same stores, its API processes' ports, and two tokens."""

    service: Service
    ports: list[int]
    reader: str
    officer: str


def measure(run: Run) -> Iterator[Result]:
    """Yield the 99th percentile of each, over people with a case and an intake who are forgotten one by one."""
    with _copy(run) as copy, ThreadPoolExecutor(API_PROCESSES + 1) as pool:
        samples = [_forgotten(copy, pool) for _ in range(SAMPLES)]
    refused, certified = zip(*samples, strict=True)
    yield REFUSED.result(p99(refused), REFUSED_MS)
    yield CERTIFIED.result(p99(certified), CERTIFIED_MS)


@contextmanager
def _copy(run: Run) -> Iterator[_Copy]:
    with ExitStack() as stack:
        bare = stack.enter_context(spine(run.folder))
        settings = stack.enter_context(keys(bare, run.folder))
        stack.enter_context(worker(settings, run.folder / "worker.log", ALL))
        ports = [free_port() for _ in range(API_PROCESSES)]
        for port in ports:
            given = {**environment(settings), "CASEKEEPER_PORT": str(port), "CASEKEEPER_RATE_CALLER": "100000"}
            stack.enter_context(serving(["cli.main", "api"], port, given, run.folder / f"api-{port}.log"))
        service = stack.enter_context(local_service(settings))
        issuer = DevIssuer(settings, service.vault)
        reader = issuer.issue("a1", ["case_manager"], "casework")
        yield _Copy(service, ports, reader, issuer.issue("p1", ["privacy_officer"], "rights"))


def _forgotten(copy: _Copy, pool: ThreadPoolExecutor) -> tuple[float, float]:
    """Return the ms from approval until the last process refused, and until the certificate was there."""
    subject_id = register(copy.service)
    case = f"/v1/cases/{open_case(copy.service, subject_id)}"
    person = preview(copy.service, subject_id)
    certificate = f"/v1/requests/{person.request_id}/certificate"
    for port in copy.ports:
        _until(port, case, copy.reader, _shows)
    person.approve(copy.service)
    approved = time.monotonic()
    refused = [pool.submit(_until, port, case, copy.reader, _refuses) for port in copy.ports]
    certified = pool.submit(_until, copy.ports[0], certificate, copy.officer, _succeeds)
    return (
        (max(one.result() for one in refused) - approved) * 1000,
        (certified.result() - approved) * 1000,
    )


def _shows(status: int, body: str) -> bool:
    return status == 200 and _GIVEN_NAME in body


def _refuses(status: int, body: str) -> bool:
    return status < 500 and _GIVEN_NAME not in body


def _succeeds(status: int, body: str) -> bool:
    return status == 200


def _until(port: int, path: str, token: str, ends: Callable[[int, str], bool]) -> float:
    """Ask a process again and again; return when the answer came (monotonic seconds) that ends it."""
    give_up = time.monotonic() + _GIVE_UP_SECONDS
    with closing(HTTPConnection(LOOPBACK, port, timeout=_GIVE_UP_SECONDS)) as connection:
        while time.monotonic() < give_up:
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            body = answer.read().decode()
            if ends(answer.status, body):
                return time.monotonic()
            time.sleep(_PAUSE_SECONDS)
    raise RuntimeError(f"{path.split('/')[2]} did not come to it: {answer.status}")
