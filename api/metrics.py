"""``GET /metrics`` in Prometheus' form: what the process has counted, and what is read at the moment of the scrape.

Which metrics there are, and that no label can carry an id or a name: :mod:`application.metrics`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from flask import Flask, Response, g
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from api import metric_readings
from api.asking import Asking
from api.metric_readings import Families, PoolUse
from api.request_scope import method_and_route
from application import metrics
from application.metric_types import COUNTED

if TYPE_CHECKING:
    from application.service import Service
    from projections.views import Views
    from store.log import EventLog

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Readings(CollectorRegistry):
    """What is read when a scrape asks."""

    def __init__(self, stores: Mapping[str, Callable[[], Families]], pools: Mapping[str, PoolUse]) -> None:
        super().__init__()
        self._stores = Asking({name: partial(_all, read) for name, read in stores.items()})
        self._names = tuple(stores)
        self._pools = pools

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield what answers in time."""
        answered = {name: asked.result() for name, asked in self._stores.answers().items() if not asked.exception()}
        yield metrics.AVAILABLE.of(*((name in answered, name) for name in self._names))
        for families in answered.values():
            yield from families
        yield from metric_readings.of_relay()
        yield from metric_readings.of_pools(self._pools)


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
