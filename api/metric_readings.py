"""What a scrape reads at its moment: from the stores, and from the connections this process holds to them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from psycopg2.extensions import cursor as Cursor

from application import metrics
from domain.errors import CasekeeperError
from projections import forget, requests, view_health

if TYPE_CHECKING:
    from application.service import Service
    from projections.health import PartHealth
    from projections.views import Views
    from store.log import EventLog

Families = Iterable[GaugeMetricFamily]
PoolUse = Callable[[], tuple[int, int, int]]


def of_store(log: EventLog) -> Iterator[GaugeMetricFamily]:
    """Yield how far the log is, whether it takes writes and, where this process relays, how far the topic is behind.

    Raises ``StoreUnavailable``.
    """
    admission = log.admission()
    yield metrics.LOG_HEAD.of((admission.head,))
    yield metrics.WRITES_ADMITTED.of((admission.admitted,))
    if (position := metrics.relay_position.number) is not None:
        yield metrics.RELAY_LAG.of((max(0, admission.head - position),))


def of_relay() -> Iterator[GaugeMetricFamily]:
    """Yield how far the relay of this process is, while it leads."""
    yield metrics.RELAY_POSITION.of(*metrics.relay_position.samples())
    yield metrics.RELAY_ACKNOWLEDGED.of(*metrics.relay_acknowledged.samples())


def of_keys(service: Service) -> Families:
    """Return nothing when keys can be read. Raises ``KeysUnavailable``, ``KeyringMismatch``."""
    service.vault.health()
    return ()


def of_views(log: EventLog, views: Views) -> Iterator[GaugeMetricFamily]:
    """Yield how the views, the parts of the workers, erasures and requests are. Raises ``ViewsUnavailable``."""
    head = None
    with suppress(CasekeeperError):
        head = log.head()
    with views.cursor() as cursor:
        seen = view_health.look(cursor)
        yield _parts(seen.parts)
        found = seen.against(head)
        yield from _views(found)
        made = {view.name for view in found}
        if "forget" in made:
            yield from _erasures(cursor)
        if "requests" in made:
            due = requests.open_by_due(cursor, datetime.now(UTC))
            yield metrics.OPEN_REQUESTS.of(*((many, when) for when, many in due.items()))


def of_pools(pools: Mapping[str, PoolUse]) -> Iterator[GaugeMetricFamily]:
    """Yield the connections of this process, by store and use."""
    counts = ((resource, zip(("lent", "idle", "most"), use(), strict=True)) for resource, use in pools.items())
    yield metrics.POOL.of(*((number, resource, name) for resource, uses in counts for name, number in uses))


def _parts(parts: Mapping[str, PartHealth]) -> GaugeMetricFamily:
    found = {name: part.state if part.fresh else "silent" for name, part in parts.items()}
    return metrics.PART_STATE.of(
        *((found[part] == state, part, state) for part in found for state in sorted(metrics.STATE.values))
    )


def _views(found: Sequence[view_health.ViewHealth]) -> Iterator[GaugeMetricFamily]:
    """Yield how each view is; nothing of its lag where the head of the log is not known."""
    yield metrics.VIEW_POSITION.of(*((view.position, view.name) for view in found))
    yield metrics.PARKED_STREAMS.of(*((view.parked_streams, view.name) for view in found))
    yield metrics.DISCARDED_STREAMS.of(*((view.discarded_streams, view.name) for view in found))
    known = [(view, view.lag) for view in found if view.lag is not None]
    yield metrics.VIEW_LAG.of(*((lag, view.name) for view, lag in known))
    yield metrics.VIEW_STUCK.of(*((view.state == "stuck", view.name) for view, _ in known))


def _erasures(cursor: Cursor) -> Iterator[GaugeMetricFamily]:
    waiting = forget.waiting(cursor)
    now = time.time()
    yield metrics.ERASURES.of(*((waiting[step][0] if step in waiting else 0, step) for step in metrics.STEP.values))
    yield metrics.ERASURE_AGE.of(*((max(0.0, now - oldest.timestamp()), step) for step, (_, oldest) in waiting.items()))
