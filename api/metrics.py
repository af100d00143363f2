"""``GET /metrics`` in Prometheus' form: what the process has counted, and what is read at the moment of the scrape.

Which metrics there are, and that no label can carry an id or a name: :mod:`application.metrics`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING

from flask import Flask, Response, g
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from api import metric_readings
from api.metric_readings import Families, PoolUse
from api.request_scope import method_and_route
from application import metrics
from application.metric_types import COUNTED

if TYPE_CHECKING:
    from application.service import Service
    from projections.views import Views
    from store.log import EventLog

CONTENT_TYPE = CONTENT_TYPE_LATEST
LONGEST_SECONDS = 3.0
"""Longest that a scrape waits for the stores; one that does not answer by then counts as away."""


class Readings(CollectorRegistry):
    """What is read when a scrape asks: each store in a thread of its own, so that one which hangs delays no other."""

    def __init__(self, stores: Mapping[str, Callable[[], Families]], pools: Mapping[str, PoolUse]) -> None:
        super().__init__()
        self._stores = stores
        self._pools = pools
        self._threads = ThreadPoolExecutor(max(1, len(stores)), "metrics")
        self._one_at_a_time = threading.Lock()
        self._asked: dict[str, Future[list[GaugeMetricFamily]]] = {}

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield what answers in time. A store that hangs is not asked again before it has answered."""
        answered = self._answered()
        available = {name for name, asked in answered.items() if asked.exception() is None}
        yield metrics.AVAILABLE.of(*((name in available, name) for name in self._stores))
        for name in available:
            yield from answered[name].result()
        yield from metric_readings.of_relay()
        yield from metric_readings.of_pools(self._pools)

    def _answered(self) -> dict[str, Future[list[GaugeMetricFamily]]]:
        """Ask, and return what was answered in time; one scrape after the other, should two come at once."""
        with self._one_at_a_time:
            for name, read in self._stores.items():
                if name not in self._asked:
                    self._asked[name] = self._threads.submit(_all, read)
            wait(list(self._asked.values()), timeout=LONGEST_SECONDS)
            answered = {name: asked for name, asked in self._asked.items() if asked.done()}
            for name in answered:
                del self._asked[name]
            return answered


def page(readings: Readings) -> bytes:
    """Return all metrics of this process as text."""
    return generate_latest(COUNTED) + generate_latest(readings)


def api_readings(service: Service, views: Views) -> Readings:
    """Return what API processes read: everything about the stores, because any of them can tell it."""
    return Readings(
        {
            "store": partial(metric_readings.of_store, service.log),
            "keys": partial(metric_readings.of_keys, service),
            "views": partial(metric_readings.of_views, service.log, views),
        },
        {"store": service.log.pool_use, "keys": service.vault.pool_use, "views": views.pool_use},
    )


def worker_readings(log: EventLog) -> Readings:
    """Return what a worker reads: the log's head, which its relay is measured against."""
    return Readings({"store": partial(metric_readings.of_store, log)}, {"store": log.pool_use})


class HttpMetrics:
    """Counts the requests of one application and answers ``GET /metrics``."""

    def __init__(self, service: Service, views: Views) -> None:
        self._readings = api_readings(service, views)

    def know_routes(self, app: Flask) -> None:
        """Take the templates of the application's routes as the values that the label ``route`` can have."""
        metrics.ROUTE.admit(rule.rule for rule in app.url_map.iter_rules())

    def observe(self, response: Response) -> Response:
        """Count a request that has been answered."""
        method, route = method_and_route()
        metrics.HTTP_REQUESTS.inc(method, route, str(response.status_code))
        metrics.HTTP_SECONDS.observe(time.perf_counter() - g.started, method, route)
        return response

    def page(self) -> Response:
        """Return all metrics."""
        return Response(page(self._readings), content_type=CONTENT_TYPE)


def _all(read: Callable[[], Families]) -> list[GaugeMetricFamily]:
    return list(read())
