"""Forgetting somebody with many events beside somebody with one: from the approval until the keys are destroyed.

The saga's own steps, in this process, on the stores that the service has. Nobody else holds keys: none is waited for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from uuid import UUID, uuid4

from application.erasure import ErasureSaga
from application.service import Service
from application.settings import Settings
from bench.database import events_database
from bench.figures import Figure, Result, Run
from bench.people import ToForget, open_case, preview, register
from bench.worker_process import keys
from bench.workload import notes
from cli.local_service import local_service
from domain.rights import DueErasure
from store.append import AppendCommand

EVENTS = 100_000
_CHUNK = 1_000

LONG = Figure(
    f"forget a person with {EVENTS:,} events", "ms", 1.2, at_most=True, group="full", note="a person with one event"
)
FIGURES = (LONG,)


def measure(run: Run) -> Iterator[Result]:
    """Yield milliseconds of one erasure each."""
    with _service(run) as service:
        yield LONG.alternate(
            lambda: _forgotten(service, _long(service)), lambda: _forgotten(service, _short(service)), run.rounds
        )


@contextmanager
def _service(run: Run) -> Iterator[Service]:
    with (
        events_database(run.folder) as dsn,
        keys(Settings(home=str(run.folder), events_dsn=dsn), run.folder) as settings,
        local_service(settings) as service,
    ):
        yield service


def _short(service: Service) -> ToForget:
    return preview(service, register(service))


def _long(service: Service) -> ToForget:
    """Make somebody with a case of that many events."""
    subject_id = register(service)
    case = UUID(open_case(service, subject_id))
    version = service.log.read_stream(case)[-1].version
    written = notes(UUID(subject_id), case, version, EVENTS)
    while chunk := tuple(islice(written, _CHUNK)):
        service.log.append(AppendCommand(chunk))
    return preview(service, subject_id)


def _forgotten(service: Service, person: ToForget) -> float:
    """Return the milliseconds from the approval until the destruction is recorded."""
    saga = ErasureSaga(service.resources, service.clock)
    erasure = DueErasure(UUID(person.subject_id), UUID(person.request_id), uuid4())
    person.approve(service)
    approved = time.perf_counter()
    saga.fence(erasure)
    failures = saga.drain([erasure]) | saga.destroy([erasure])
    took = time.perf_counter() - approved
    if failures:
        raise next(iter(failures.values()))
    return took * 1000
