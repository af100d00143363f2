"""A record with any content at all is either taken in by a view or found unfit: nothing else may come of it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from view_records import ANA, CERTIFICATE, REQUEST, event, part, uid

from consumers.unfit import errors_of_records
from domain.errors import RecordUnfit
from domain.events import EVENT_TYPES
from domain.record import Record
from domain.registry import Kind, fields_of
from projections.base import PURGE
from projections.catalogue import VIEWS, projections
from projections.positions import prepare
from vault.vault import Vault


class Port:
    """Carries nothing out."""

    def fence(self, *_: Any) -> None:
        """Do nothing."""

    destroy = certify = fence


VIEW_NAMES = [view.name for view in VIEWS]
GOOD = {
    "id": uid(7), "ids": [uid(8)], "number": 3, "flag": True, "time": "2026-03-01T10:00:00.000000Z", "language": "en",
    "policy_version": "1", "fingerprints": ["0" * 16], "view_positions": {}, "purpose": "treatment",
}  # fmt: skip
BAD = (
    None, 0, -1, 2**63, 2**70, 1e308, True, "", "x", "x" * 20_000, "\x00", "\ud800", "2026-13-45T99:00:00Z", "NaN",
    uid(7), [], [[]], [None], {}, {"a": {"b": []}}, [{}], [uid(8), 5], "infinity", "0000-00-00", "😀" * 3000,
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def genuine(type_: str) -> dict[str, Any]:
    """Return a record of a type with every field there, roughly of its kind."""
    declared = fields_of(EVENT_TYPES[type_])
    data = {name: GOOD.get(kind.name, uid(9)) for name, kind in declared.items() if isinstance(kind, Kind)}
    if type_ == PURGE:
        data |= {"certificate_id": CERTIFICATE, "request_id": REQUEST, "whole_person": True, "scope_ids": [uid(8)]}
    sealed = {name: part(ANA, "identity", uid(8)) for name, kind in declared.items() if not isinstance(kind, Kind)}
    return event(type_, ANA, data, sealed=sealed, case=uid(5))


@st.composite
def hostile(draw: st.DrawFn, types: list[str]) -> dict[str, Any]:
    """Return a record of one of these types in which one to three values, anywhere, are something else or missing."""
    record: Any = json.loads(json.dumps(genuine(draw(st.sampled_from(types)))))
    for _ in range(draw(st.integers(1, 3))):
        place = record
        while True:
            inner = [key for key, value in place.items() if isinstance(value, dict) and value]
            if not inner or draw(st.integers(0, 3)) == 0:
                break
            place = place[draw(st.sampled_from(sorted(inner)))]
        key = draw(st.sampled_from(sorted(place)))
        if draw(st.integers(0, 4)) == 0:
            del place[key]
        else:
            place[key] = draw(st.sampled_from(BAD) | JSON)
        if not place:
            break
    return record


@pytest.mark.parametrize("name", VIEW_NAMES)
def test_any_content_is_taken_in_or_unfit(connect: Any, vault: Vault, name: str) -> None:
    [view] = [made for made in projections(Port(), vault) if made.name == name]
    connection = connect()
    prepare(connection, view, rebuild=True)
    whole_person = {**genuine(PURGE), "data": {**genuine(PURGE)["data"], "whole_person": {}}}
    became = {"taken in": 0, "unfit": 0}

    @examples(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(hostile(sorted(view.handles)))
    @example(whole_person)
    def take(written: dict[str, Any]) -> None:
        value = json.dumps(written).encode()
        try:
            with errors_of_records(name, 1, 1), connection.cursor() as cursor:
                view.apply(cursor, Record.parse(1, value))
            became["taken in"] += 1
        except RecordUnfit as unfit:
            became["unfit"] += int(unfit.reason.isalnum())
        finally:
            connection.rollback()

    take()

    assert became["unfit"] > 10
    assert became["taken in"] > 0
    assert connection.status == psycopg2.extensions.STATUS_READY


@pytest.mark.parametrize("text", ["\ud800", "\x00"])
@pytest.mark.parametrize("name", VIEW_NAMES)
def test_text_that_no_database_takes_is_the_fault_of_the_record(
    connect: Any, vault: Vault, name: str, text: str
) -> None:
    [view] = [made for made in projections(Port(), vault) if made.name == name]
    connection = connect()
    prepare(connection, view, rebuild=True)
    for type_ in sorted(view.handles):
        for field in [field for field, value in genuine(type_)["data"].items() if isinstance(value, str)]:
            written = genuine(type_)
            written["data"][field] = text
            # Taken in where the view has no use for the field; anything but RecordUnfit would halt the view.
            with suppress(RecordUnfit), errors_of_records(name, 1, 1), connection.cursor() as cursor:
                view.apply(cursor, Record.parse(1, json.dumps(written).encode()))
            connection.rollback()
