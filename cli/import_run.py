"""One run of an import: reads, publishes in batches of people, and reports. The demonstration set is loaded by it,
too."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from application.policies import Policies
from application.settings import Settings
from application.wiring import now
from cli.fhir.intake import Import
from cli.fhir.message_ids import MessageIds
from cli.fhir.publishing import PeoplePublisher, Result, checked
from cli.fhir.reading import FhirFiles, Progress
from cli.fhir.report import Report
from cli.fhir.resource_types import PATIENT
from cli.import_inbox import kafka_inbox
from cli.local_service import local_service

IMPORT_KEY = "fhir-import-key"
"""Name of the secret in the keyring under which message ids are made."""

_BATCH = 100
_THREADS = 3


@dataclass(frozen=True)
class ImportOptions:
    """What a run is told: ``source`` keeps records of different systems apart, ``language`` is for people without
    one."""

    source: str = ""
    kind: str = "care_coordination"
    language: str = "en"


Taken = Callable[[Sequence[Result]], None]
"""Told of people as they are taken or refused."""


def run_import(
    settings: Settings,
    paths: Sequence[Path],
    options: ImportOptions,
    *,
    on_read: Progress,
    on_found: Callable[[int], None],
    on_taken: Taken,
) -> Report:
    """Import files. ``on_found`` is told how many people there are.

    Raises ``OSError`` when a file cannot be read, and the service's ``RetriableError``: run it again then, nothing is
    doubled.
    """
    report = Report()
    with local_service(settings) as service, kafka_inbox(settings, service) as inbox:
        files = FhirFiles.open(paths, on_read)
        on_found(files.number_of_people)
        version = _policy_version(service.policies)
        ids = MessageIds(service.vault.secret(IMPORT_KEY), options.source)
        publisher = PeoplePublisher(inbox, ids, version, options.kind)
        people = files.imports(options.language, version, report)
        for results in _published(publisher.publish, people):
            _count(report, results)
            on_taken(results)
    return report


def dry_run(paths: Sequence[Path], options: ImportOptions, *, on_read: Progress, on_taken: Taken) -> Report:
    """Read and check everything, publish nothing. Needs no running service. Raises ``OSError``."""
    report = Report()
    version = _policy_version(Policies.load())
    for person in FhirFiles.open(paths, on_read).imports(options.language, version, report):
        results = [checked(person, version)]
        _count(report, results)
        on_taken(results)
    return report


def _published(publish: Callable[[Sequence[Import]], list[Result]], people: Iterator[Import]) -> Iterator[list[Result]]:
    """Publish people in batches, a few at a time, and no more of them in memory than that."""
    with ThreadPoolExecutor(_THREADS, "import") as threads:
        under_way: deque[Future[list[Result]]] = deque()
        while batch := list(islice(people, _BATCH)):
            under_way.append(threads.submit(publish, batch))
            if len(under_way) > _THREADS:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def _count(report: Report, results: Iterable[Result]) -> None:
    for result in results:
        report.published.update(result.published)
        if result.refused:
            report.people["refused"] += 1
            report.leave_out(PATIENT, result.refused, *result.person.place, result.fields)
        else:
            report.people["known" if result.known else "new"] += 1


def _policy_version(policies: Policies) -> str:
    return policies.in_force(now()).version
