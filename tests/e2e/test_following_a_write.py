"""One write followed from HTTP through relay and views, in the logs of a copy as it runs for users."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

from tests.callers import INTAKE_SERVICE
from tests.e2e.copy_of_service import Copy
from tests.e2e.inbox import over_inbox
from tests.e2e.journey import Markers, subject_body

VIEWS = {
    *("people", "worklist", "case_page", "consents", "disclosures", "recipients", "requests", "search_index", "forget")
}
SECONDS = 40.0
"""Lines that cover many positions come every ten seconds."""


def lines(copy: Copy, process: str) -> Iterator[dict[str, Any]]:
    for line in (copy.home / "logs" / f"{process}.log").read_text().splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def eventually(copy: Copy, process: str, wanted: Callable[[Mapping[str, Any]], bool], many: int = 1) -> list[dict]:
    deadline = time.monotonic() + SECONDS
    while len(found := [line for line in lines(copy, process) if wanted(line)]) < many:
        assert time.monotonic() < deadline, f"no such line in {process}.log"
        time.sleep(0.2)
    return found


def passes(event: str, position: int) -> Callable[[Mapping[str, Any]], bool]:
    return lambda line: line["event"] == event and line["first"] <= position <= line["last"]


def test_a_request_is_followed_from_http_to_every_view(copy: Copy) -> None:
    request_id, markers = str(uuid4()), Markers()
    reply = copy.call(INTAKE_SERVICE, "POST", "/v1/subjects", subject_body(markers), X_Request_Id=request_id)
    receipt = reply.body["receipt"]

    [answered] = eventually(copy, "api", lambda line: line.get("request_id") == request_id)
    assert answered["event"] == "request"
    assert (answered["event_id"], answered["position"]) == (receipt["event_ids"][-1], receipt["position"])
    published = eventually(copy, "worker", passes("published", answered["position"]))
    assert published[0]["topic"].endswith("cases.events.v1")
    taken = eventually(copy, "worker", passes("taken in", answered["position"]), many=len(VIEWS))
    assert {line["view"] for line in taken} == VIEWS

    everything = "".join((copy.home / "logs" / f"{name}.log").read_text() for name in ("api", "worker"))
    for marker in markers.made:
        assert marker not in everything
    assert reply.body["id"] not in (copy.home / "logs" / "api.log").read_text()


def test_a_message_of_the_inbox_is_followed_by_its_event(copy: Copy) -> None:
    with over_inbox(copy) as publish:
        receipt = publish(INTAKE_SERVICE, "register_subject", {}, subject_body(Markers()))["receipt"]
    event_id = receipt["event_ids"][-1]

    [handled] = eventually(copy, "worker", lambda line: line.get("event_id") == event_id)
    assert (handled["event"], handled["state"]) == ("message handled", "accepted")
    assert handled["position"] == receipt["position"]
    assert handled["topic"].endswith("cases.inbox.v1")
    assert eventually(copy, "worker", passes("published", handled["position"]))
