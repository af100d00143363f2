"""``GET /metrics`` in Prometheus' form. Labels are methods, route templates and statuses: never an id or a name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from flask import Response, g
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from api.request_scope import method_and_route
from domain.errors import CasekeeperError

if TYPE_CHECKING:
    from projections.views import Views
    from store.log import EventLog

_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The metrics of one application, in a registry of their own."""

    def __init__(self, log: EventLog, views: Views) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "casekeeper_http_requests", "HTTP requests answered", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "casekeeper_http_request_seconds",
            "Time to answer an HTTP request",
            ("method", "route"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(_Lag(log, views))

    def observe(self, response: Response) -> Response:
        """Count a request that has been answered."""
        method, route = method_and_route()
        self._requests.labels(method, route, str(response.status_code)).inc()
        self._seconds.labels(method, route).observe(time.perf_counter() - g.started)
        return response

    def page(self) -> Response:
        """Return all metrics."""
        return Response(generate_latest(self._registry), content_type=CONTENT_TYPE_LATEST)


class _Lag:
    """Reads how far each view is behind the log, at the moment of the scrape; left out while a database is away."""

    def __init__(self, log: EventLog, views: Views) -> None:
        self._log = log
        self._views = views

    def collect(self) -> Iterator[GaugeMetricFamily]:
        head = GaugeMetricFamily("casekeeper_log_head", "Position of the last event appended")
        lag = GaugeMetricFamily("casekeeper_view_lag", "Events a view has yet to take in", labels=["view"])
        with suppress(CasekeeperError):
            at = self._log.head()
            head.add_metric([], at)
            for name, position in self._views.positions().items():
                lag.add_metric([name], max(0, at - position))
        yield head
        yield lag

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(())
