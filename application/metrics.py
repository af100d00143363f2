"""Every metric of the service, declared once: name, meaning, labels and the closed sets of their values.

``docs/operations.md`` explains each; ``ops/grafana`` and ``ops/prometheus`` use them; tests hold all three to it.
"""

from __future__ import annotations

from http import HTTPStatus

import prometheus_client

from application.metric_types import COUNTED, OTHER, Counter, Histogram, Label, Level, Metric, Provided, Reading
from domain.errors import CasekeeperError
from domain.vocabulary import VIEWS


def _classes(base: type[Exception]) -> set[str]:
    return {base.__name__}.union(*map(_classes, base.__subclasses__()))


METHOD = Label("method", ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", OTHER))
ROUTE = Label("route", ("unmatched",))
"""The templates of the application's own routes, admitted when it is made."""
STATUS = Label("status", (str(int(status)) for status in HTTPStatus))
ERROR = Label("error", (*_classes(CasekeeperError), OTHER))
VIEW = Label("view", (*VIEWS, OTHER))
PART = Label("part", (*VIEWS, "relay", "inbox", "schedule", OTHER))
STATE = Label("state", ("waiting", "running", "retrying", "halted", "stopped", "silent"))
RESOURCE = Label("resource", ("store", "keys", "views"))
OUTCOME = Label("outcome", ("accepted", "rejected", "deadletter", "held"))
REPEAT = Label("repeat", ("same", "other_body", "long_ago"))
STEP = Label("step", ("approved", "fenced", "destroyed"))
DUE = Label("due", ("overdue", "within_3_days", "later"))
USE = Label("use", ("lent", "idle", "most"))

_QUICK = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

HTTP_REQUESTS = Counter("casekeeper_http_requests_total", "HTTP requests answered", METHOD, ROUTE, STATUS)
HTTP_SECONDS = Histogram(
    "casekeeper_http_request_seconds", "Time to answer an HTTP request", METHOD, ROUTE, buckets=_QUICK
)
IDEMPOTENCY_HITS = Counter(
    "casekeeper_idempotency_hits_total", "Commands whose idempotency key was known already", REPEAT
)

APPEND_SECONDS = Histogram(
    "casekeeper_append_seconds", "Time a command waited until it was durable or refused", buckets=_QUICK
)
APPEND_BATCH = Histogram(
    "casekeeper_append_batch_size", "Commands committed together", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
APPEND_REFUSED = Counter("casekeeper_append_refused_total", "Commands that the store refused", ERROR)

AVAILABLE = Reading("casekeeper_available", "Whether a store can be used: 1 or 0", RESOURCE)
WRITES_ADMITTED = Reading("casekeeper_writes_admitted", "Whether the event store takes writes: 1 or 0")
LOG_HEAD = Reading("casekeeper_log_head", "Position of the last event appended")
POOL = Reading(
    "casekeeper_pool_connections", "Connections of this process: lent, idle, and the most there can be", RESOURCE, USE
)

PART_STATE = Reading("casekeeper_part_state", "1 for the state a part of the workers is in, else 0", PART, STATE)
PART_FAILURES = Counter("casekeeper_part_failures_total", "Times a part failed and was run again", PART, ERROR)

RELAY_POSITION = Reading(
    "casekeeper_relay_position",
    "Last position known to be on the topic, 0 before the first comparison, while this process leads",
)
RELAY_LAG = Reading(
    "casekeeper_relay_lag", "Events appended and not known to be on the topic, while this process leads"
)
RELAY_ACKNOWLEDGED = Reading(
    "casekeeper_relay_acknowledged_timestamp_seconds",
    "When a broker last acknowledged a batch, before that when this process first led, in Unix time",
)
RELAY_PUBLISHED = Counter("casekeeper_relay_published_total", "Events that brokers acknowledged")

VIEW_POSITION = Reading("casekeeper_view_position", "Position of the last event a view has taken in", VIEW)
VIEW_LAG = Reading("casekeeper_view_lag", "Events a view has yet to take in", VIEW)
VIEW_STUCK = Reading("casekeeper_view_stuck", "1 when a view is behind and does not move, else 0", VIEW)
PARKED_STREAMS = Reading("casekeeper_parked_streams", "Streams that a view has set aside", VIEW)
DISCARDED_STREAMS = Reading(
    "casekeeper_discarded_streams", "Streams that a view goes on without until it is built anew", VIEW
)
FOREIGN_RECORDS = Counter(
    "casekeeper_foreign_records_total", "Records on the events topic that the relay did not write", VIEW
)

INBOX_MESSAGES = Counter(
    "casekeeper_inbox_messages_total", "Messages taken from the inbox, by what became of them", OUTCOME
)
INBOX_SECONDS = Histogram("casekeeper_inbox_seconds", "Time to carry out one message of the inbox", buckets=_QUICK)
DEAD_LETTERS = Counter("casekeeper_dead_letters_total", "Records written to the topic of dead letters", PART, ERROR)

ERASURES = Reading("casekeeper_erasures", "Erasures that are not certified yet, by the last step done", STEP)
ERASURE_AGE = Reading(
    "casekeeper_erasure_oldest_seconds", "Age of the oldest step that no further step has followed", STEP
)
OPEN_REQUESTS = Reading("casekeeper_open_requests", "People's requests that are not closed, by when they are due", DUE)

Provided("counter", "process_cpu_seconds_total", "Processor time of the process")
Provided("gauge", "process_resident_memory_bytes", "Memory of the process that is in RAM")
Provided("gauge", "process_virtual_memory_bytes", "Memory the process has mapped")
Provided("gauge", "process_start_time_seconds", "When the process started, in Unix time")
Provided("gauge", "process_open_fds", "Files and sockets the process has open")
Provided("gauge", "process_max_fds", "Most files and sockets it may have open")
prometheus_client.ProcessCollector(registry=COUNTED)

METRICS = Metric.declared
"""All of them, by name."""

relay_position = Level()
relay_acknowledged = Level()


def error_class(error: BaseException) -> str:
    """Return an error's class as label values know it: one of ours by name, ``other`` for any other."""
    return ERROR.known(type(error).__name__)
