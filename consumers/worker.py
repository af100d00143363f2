"""A worker process: relay, inbox, projections, forgetting and the schedule, each a part of its own.

Any number of workers may run, and any may die: each part has a lock or a consumer group, and what it does is done once.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from threading import Event, current_thread, main_thread

import structlog

from application.key_reconciliation import reconcile_keys
from application.logging import configure
from application.service import Service
from application.settings import Settings
from application.wiring import build_saga, build_service
from consumers import topics
from consumers.dead_letters import DeadLetters
from consumers.inbox import Inbox
from consumers.inbox_handler import InboxHandler
from consumers.parts import Heartbeat, Part, Report
from consumers.published import MAC_SECRET, RecordMac
from consumers.relay import Relay
from consumers.runner import ProjectionRunner, Sources
from consumers.schedule import Schedule
from consumers.topic_feed import TopicFeed
from consumers.topic_reader import TopicReader
from domain.errors import RetriableError
from domain.vocabulary import VIEWS
from projections.base import Projection
from projections.catalogue import projections
from projections.views import Views
from store.log import EventLog

STOP_SECONDS = 4.0
"""Longest wait for the parts to end; what they hold is released with the process in any case."""
_START_PAUSE_SECONDS = 1.0
_HUNG_STATUS = 75

Make = Callable[[Report], Callable[[Event], None]]
log = structlog.get_logger()

PARTS = ("relay", "inbox", "schedule", "projections", *sorted(VIEWS))
"""What ``--only`` takes; ``projections`` stands for every view but ``forget``."""


def run_worker(
    settings: Settings,
    only: Collection[str] | None = None,
    stop: Event | None = None,
    opened: Callable[[EventLog], None] = lambda _log: None,
) -> int:
    """Run the parts named (all by default) until SIGTERM, SIGINT or ``stop``; return the process's exit status.

    ``opened`` is handed the event log before any part runs.
    Raises ``ValueError`` for a name that is none of :data:`PARTS`, ``SettingInvalid`` where Kafka's settings are wrong.
    """
    wanted = chosen(only)
    settings.brokers.options()
    configure(settings.log_level)
    stopping = stop or Event()
    if current_thread() is main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
    service = _open(settings, stopping)
    if service is None:
        return 0
    opened(service.log)
    makes = {name: make for name, make in _makes(settings, service).items() if name in wanted}
    parts = [Part(name, make, stopping) for name, make in makes.items()]
    heartbeat = Heartbeat(settings.views_dsn, parts, stopping)
    for thread in (*parts, heartbeat):
        thread.start()
    log.info("worker started", count=len(parts), pid=os.getpid())
    while not stopping.wait(0.5):
        if heartbeat.hung.is_set():
            os._exit(_HUNG_STATUS)
    deadline = time.monotonic() + STOP_SECONDS
    for thread in (*parts, heartbeat):
        thread.join(max(0.0, deadline - time.monotonic()))
    left = [part.name for part in parts if part.is_alive()]
    log.info("worker stopped", count=len(left), pid=os.getpid())
    if not left:
        service.log.close()
        service.vault.close()
    return 0


def chosen(only: Collection[str] | None) -> set[str]:
    """Return the names of the parts meant. Raises ``ValueError`` for one that there is not."""
    wanted = set(only or PARTS)
    if unknown := wanted - set(PARTS):
        raise ValueError(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if "projections" in wanted:
        wanted |= VIEWS - {"forget"}
    return wanted - {"projections"}


def _open(settings: Settings, stopping: Event) -> Service | None:
    """Open store and vault, waiting while they are down; ``None`` when told to stop meanwhile."""
    said = ""
    while not stopping.is_set():
        try:
            service = build_service(settings)
            service.vault.secret(MAC_SECRET)
            return service
        except RetriableError as error:
            log.warning("worker waits", error=error, retry_in=_START_PAUSE_SECONDS)
            if said != str(error):
                # What our own errors say is ours alone, and says more than their class.
                said = str(error)
                sys.stderr.write(f"Waiting: {said}\n")
            stopping.wait(_START_PAUSE_SECONDS)
    return None


def _makes(settings: Settings, service: Service) -> Mapping[str, Make]:
    mac = RecordMac(service.vault.secret(MAC_SECRET))
    handler = InboxHandler(service)
    views = Views(settings.views_dsn, size=2)
    makes: dict[str, Make] = {
        "relay": made_once(
            lambda report: Relay(settings, service.log, mac, report, partial(_destroy_again, service)).run
        ),
        "inbox": lambda report: Inbox(settings, handler, report).run,
        "schedule": lambda report: Schedule(settings, service, views, report).run,
    }
    feed = feed_of(settings, mac)
    for projection in projections(build_saga(service), service.vault, settings.index_days):
        makes[projection.name] = partial(runner_of, settings, feed, projection)
    return makes


def _destroy_again(service: Service, alive: Callable[[], None]) -> None:
    """Compare all fences with the keys and destroy again what a restore brought back; ``alive`` is called meanwhile."""
    reconcile_keys(service.log, service.vault, lambda count: alive())


def made_once(make: Make) -> Make:
    """Return a maker that gives the same relay again after a failure: it remembers since when Kafka has been away."""
    made: list[Callable[[Event], None]] = []

    def again(report: Report) -> Callable[[Event], None]:
        if not made:
            made.append(make(report))
        return made[0]

    return again


def feed_of(settings: Settings, mac: RecordMac) -> TopicFeed:
    """Return what the views of one process read the events from."""
    return TopicFeed(lambda: TopicReader(settings.brokers, settings.topic(topics.EVENTS), mac))


def runner_of(settings: Settings, feed: TopicFeed, projection: Projection, report: Report) -> Callable[[Event], None]:
    """Return what runs one projection; call it again after a failure."""
    sources = Sources(
        settings.views_dsn,
        feed.reader,
        DeadLetters(settings.brokers, settings.topic(topics.DEADLETTERS)),
        settings.topic_prefix,
    )
    return ProjectionRunner(projection, sources, report).run
