"""The workers, as they told last: parts that are halted, failing or silent, views that lag or are stuck."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg2.extensions import cursor as Cursor

from application.settings import Settings
from cli.checks.finding import Finding
from domain.errors import CasekeeperError
from domain.vocabulary import VIEWS
from ops.health import ready_report
from ops.runtime import Runtime
from projections import health, view_health
from projections.health import PartHealth
from projections.view_health import ViewHealth
from projections.views import Views
from store.log import EventLog

PARTS = VIEWS | {"relay", "inbox", "schedule"}
MUCH_LAG = 10_000

_HALTED = {
    "LogDiverged": "store and topic differ: find out which one is not this installation's, or was changed",
    "LogGap": "the topic has a hole: the relay mends it when it starts; if it is the relay, restore the store's backup",
    "TooManyUnfit": "so many records that it is not the records: mend the program or the database",
    "RecordUnfit": "a record that this view cannot take: it needs a repaired program",
    "KeyringMismatch": "keyring and keys cluster do not belong together: see keyring",
    "Tampered": "a key or a sealed value was changed: restore the keys cluster's backup",
}
"""Class of the error that halted a part, and what to do."""
_FAILING = {
    "KafkaUnavailable": "see kafka and topics",
    "StoreUnavailable": "see events and writes",
    "ViewsUnavailable": "see views",
    "KeysUnavailable": "see keys and keyring",
}


def workers(settings: Settings) -> Iterator[Finding]:
    """Look at what the parts of the workers and the views told last."""
    if not settings.views_dsn:
        return
    views = Views(settings.views_dsn, size=1)
    try:
        with views.cursor() as cursor:
            yield from _parts(cursor)
            yield from _views(cursor, _head(settings))
    except CasekeeperError:
        return
    finally:
        views.close()


def api(settings: Settings) -> Iterator[Finding]:
    """Ask the API of the copy in this home whether it is ready."""
    runtime = Runtime.read(settings.home_path)
    if runtime is None or not runtime.url:
        return
    report = ready_report(runtime.url, seconds=10.0)
    if report is None:
        yield Finding(
            "api", "failed", f"no answer from {runtime.url}", "see logs/api.log; casekeeper status says if it runs"
        )
    elif report.get("ready") is not True:
        named = ", ".join(report.get("degraded", []))
        yield Finding("api", "failed", f"not ready: {named}", "mend what is named, and what else is wrong here")
    else:
        yield Finding("api", "ok", runtime.url)


def _parts(cursor: Cursor) -> Iterator[Finding]:
    found = {part.part: part for part in health.parts(cursor)}
    if not found:
        yield Finding("workers", "warning", "none has ever run", "start casekeeper worker")
        return
    silent = sorted(
        name for name in PARTS if name not in found or not found[name].fresh or found[name].state == "stopped"
    )
    if silent:
        shown = "nobody runs " + ("any part" if set(silent) == PARTS else ", ".join(silent))
        yield Finding("workers", "failed", shown, "start casekeeper worker; if it runs, see its log")
    unwell = [part for name, part in found.items() if name not in silent and part.state in ("halted", "retrying")]
    for part in unwell:
        yield _unwell(part)
    if not (silent or unwell):
        yield Finding("workers", "ok", f"{len(found)} parts run")


def _unwell(part: PartHealth) -> Finding:
    if part.state == "halted":
        advice = _HALTED.get(part.detail_code, "see the worker's log")
        return Finding(
            "workers", "failed", f"{part.part} has halted ({part.detail_code})", f"{advice}; then restart it"
        )
    advice = _FAILING.get(part.detail_code, "see the worker's log")
    return Finding("workers", "failed", f"{part.part} fails and is tried again ({part.detail_code})", advice)


def _views(cursor: Cursor, head: int | None) -> Iterator[Finding]:
    for view in view_health.look(cursor).against(head):
        yield from _view(view)


def _view(view: ViewHealth) -> Iterator[Finding]:
    if view.state == "stuck":
        advice = f"see its part above and the worker's log; casekeeper rebuild {view.name} builds it anew"
        yield Finding("projections", "failed", f"{view.name} is stuck: {view.lag} events behind and not moving", advice)
    elif view.state == "behind" and (view.lag or 0) > MUCH_LAG:
        advice = f"wait, or give it a worker of its own: casekeeper worker --only {view.name}"
        yield Finding("projections", "warning", f"{view.name} lags: {view.lag} events behind, moving", advice)
    if view.parked_streams:
        shown = f"{view.name} has set {view.parked_streams} streams aside"
        yield Finding("deadletters", "warning", shown, "casekeeper deadletters list says why")


def _head(settings: Settings) -> int | None:
    if not settings.events_dsn:
        return None
    try:
        with EventLog(settings.events_dsn, readers=1) as log:
            return log.head()
    except CasekeeperError:
        return None
