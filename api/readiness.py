"""Whether store, keys and views can be used: what ``/health/ready`` tells."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from api.asking import Asking
from application.service import Service
from domain.errors import CasekeeperError
from domain.vocabulary import VIEWS
from projections import view_health
from projections.health import PartHealth
from projections.view_health import ViewHealth
from projections.views import Views
from store.log import Admission


class Readiness:
    """Asks the stores of one process; each answers within :data:`api.asking.LONGEST_SECONDS` or counts as away."""

    def __init__(self, service: Service, views: Views) -> None:
        def look() -> view_health.Look:
            with views.cursor() as cursor:
                return view_health.look(cursor)

        self._stores: Asking[Any] = Asking(
            {"store": lambda: service.log.admission(), "keys": lambda: service.vault.health(), "views": look}
        )

    def report(self) -> dict[str, Any]:
        """Return ``{"ready", "degraded": [words], "reasons": {word: why}, "views": [{"name", "position", "lag", …}]}``.

        Ready means that store, keys and views can be used and that writes are admitted; a part of the workers that is
        not well, such as the relay without Kafka, is named but does not make the API unready. Why: an error's class, as
        ``KafkaUnavailable`` where Kafka is away; or what state the part is in, ``silent`` when no worker speaks for it
        and ``stuck`` for a view that does not move; or, of what an operator has to do first, a few words. Each view is
        a ``ViewHealth`` of :mod:`projections.view_health`, with how many streams it has ``parked`` and ``discarded``.
        """
        answered = self._stores.answers()
        needed = {name: why for name in ("store", "keys", "views") if (why := _away(answered.get(name)))}
        admission: Admission | None = None if "store" in needed else answered["store"].result()
        seen: view_health.Look | None = None if "views" in needed else answered["views"].result()
        if admission is not None and not admission.admitted:
            needed["store-not-admitted"] = "not compared with the topic"
        if seen is not None and len(seen.rows) < len(VIEWS):
            needed["views-not-built"] = "no worker has made them"
        views = seen.against(admission.head if admission else None) if seen else ()
        stuck = {view.name: "stuck" for view in views if view.state == "stuck"}
        reasons = dict(sorted({**stuck, **_unwell(seen.parts if seen else {}), **needed}.items()))
        return {
            "ready": not needed,
            "degraded": list(reasons),
            "reasons": reasons,
            "views": [_shown(view) for view in views],
        }


def _away(asked: Future[Any] | None) -> str:
    """Return why something cannot be used, nothing when it can; an error that is not ours is raised."""
    if asked is None:
        return "no answer"
    error = asked.exception()
    if error is not None and not isinstance(error, CasekeeperError):
        raise error
    return type(error).__name__ if error else ""


def _unwell(parts: Mapping[str, PartHealth]) -> dict[str, str]:
    return {
        name: (part.detail_code or part.state) if part.fresh else "silent"
        for name, part in parts.items()
        if not part.well
    }


def _shown(view: ViewHealth) -> dict[str, Any]:
    return {
        "name": view.name,
        "position": view.position,
        "lag": view.lag,
        "state": view.state,
        "parked": view.parked_streams,
        "discarded": view.discarded_streams,
    }
