"""Kafka: brokers that answer, topics as they should be, and how far the events topic is behind the store."""

from __future__ import annotations

import time
from collections.abc import Iterator

from application.settings import Settings
from cli.checks.finding import Finding
from consumers import probe
from consumers.probe import TopicFault
from consumers.published import MAC_SECRET, RecordMac
from consumers.tail import GLANCE
from domain.errors import CasekeeperError, KafkaUnavailable, SettingInvalid
from ops.ports import silent
from ops.servers import BROKERS_ADVICE
from store.log import EventLog
from vault.installation import inspect

_LOOK_SECONDS = 1.5
"""How long a topic that is behind is watched, to see whether it moves."""


def kafka(settings: Settings) -> Iterator[Finding]:
    """Ask each bootstrap server, and the cluster how many brokers it has."""
    if not settings.kafka:
        yield Finding("kafka", "warning", "not running", "casekeeper up starts a local broker")
        return
    away = silent(settings.kafka)
    if away:
        lost = away == settings.kafka.split(",")
        yield Finding("kafka", "failed" if lost else "warning", f"no answer from {', '.join(away)}", BROKERS_ADVICE)
        if lost:
            return
    try:
        many = probe.brokers(settings)
    except SettingInvalid as error:
        yield Finding("kafka", "failed", str(error), "correct the settings CASEKEEPER_KAFKA_*")
    except KafkaUnavailable as error:
        advice = "see its log, and TLS and SASL in docs/operations.md"
        yield Finding("kafka", "failed", f"takes connections and does not answer ({error})", advice)
    else:
        if not away:
            yield Finding("kafka", "ok", f"{settings.kafka}, {many} broker{'s' * (many != 1)}")


def topics(settings: Settings) -> Iterator[Finding]:
    """Look at every topic: there, led, held by enough replicas, with its settings."""
    if not settings.kafka:
        return
    try:
        faults = probe.topic_faults(settings)
    except CasekeeperError:
        return
    for fault in faults:
        yield _told(fault)
    if not faults:
        yield Finding("topics", "ok", "as they should be")


def relay(settings: Settings) -> Iterator[Finding]:
    """Compare the end of the events topic with the store's head, twice where it is behind."""
    if not (settings.kafka and settings.events_dsn and settings.keys_dsn):
        return
    try:
        mac = _mac(settings)
        found = probe.ends(settings, mac) if mac else None
        if mac is None or found is None:
            return
        if found.last is None:
            yield _hidden("ends", "last")
            return
        # Taken after the topic was read, the head would count what came meanwhile as missing.
        head = _head(settings)
        if found.last >= head:
            yield _compared(head, found.last, found.first)
            return
        time.sleep(_LOOK_SECONDS)
        later = probe.ends(settings, mac) or found
    except CasekeeperError:
        return
    yield _behind(head, found.last, found.last if later.last is None else later.last)


def _compared(head: int, last: int, first: int | None) -> Finding:
    if last > head:
        shown = f"the topic has {last} events, the store {head}"
        advice = "the store is an old copy: start casekeeper worker, its relay copies back what is missing"
        return Finding("relay", "failed", shown, advice)
    if first is None:
        return _hidden("begins", "first")
    if first > 1:
        advice = "events before that were deleted from it; restart the worker: its relay publishes all of them again"
        return Finding("relay", "failed", f"the topic was emptied: it begins with event {first}", advice)
    return Finding("relay", "ok", f"the topic has all {head} events")


def _behind(head: int, last: int, later: int) -> Finding:
    behind = head - last
    if last == 0 and later == 0:
        shown = f"the topic was emptied: it has none of {head} events"
        advice = "start casekeeper worker: its relay publishes all of them again; if it runs, see workers"
        return Finding("relay", "failed", shown, advice)
    if later > last:
        return Finding("relay", "warning", f"{behind} events behind, catching up", "wait")
    advice = "start casekeeper worker; if it runs, see workers and kafka"
    return Finding("relay", "failed", f"{behind} events behind, and does not move", advice)


def _hidden(does: str, which: str) -> Finding:
    shown = f"cannot tell with which event the topic {does}: its {which} {GLANCE} records are not the relay's"
    advice = "find out who can write to it, and take the right away; the relay itself reads past such records"
    return Finding("relay", "warning", shown, advice)


def _told(fault: TopicFault) -> Finding:
    if fault.kind == "missing":
        advice = "start casekeeper worker: it makes its topics, and publishes all events again"
        return Finding("topics", "failed", f"{fault.topic} is missing", advice)
    if fault.kind == "setting":
        shown = f"{fault.topic}: {fault.setting} is {fault.found}"
        advice = f"set it to {fault.wanted} (kafka-configs.sh --alter --entity-type topics)"
        return Finding("topics", "failed", shown, advice)
    if fault.kind == "leaderless":
        advice = "start the brokers that are down"
        return Finding("topics", "failed", f"{fault.topic}: {fault.found} partitions have no leader", advice)
    if fault.kind == "replicas":
        shown = f"{fault.topic}: not enough in-sync replicas ({fault.found} of the {fault.wanted} it needs)"
        return Finding(
            "topics", "failed", shown, "start the brokers that are down: until then nothing can be published"
        )
    if fault.kind == "copies":
        shown = f"{fault.topic}: {fault.found} of {fault.wanted} replicas in sync"
        return Finding("topics", "warning", shown, "start the broker that is down: the next loss would stop publishing")
    shown = f"{fault.topic} has {fault.found} partitions, not {fault.wanted}"
    return Finding("topics", "failed", shown, "make it anew: the number of partitions says which event follows which")


def _mac(settings: Settings) -> RecordMac | None:
    keyring = inspect(settings.keys_dsn, settings.keyring_location)
    return RecordMac(keyring.secret(MAC_SECRET)) if keyring and MAC_SECRET in keyring.secrets() else None


def _head(settings: Settings) -> int:
    with EventLog(settings.events_dsn, readers=1) as log:
        return log.head()
