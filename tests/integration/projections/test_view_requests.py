from datetime import datetime
from uuid import UUID

import pytest
from view_records import ANA, BEN, REQUEST, event, keys_destroyed, uid

from projections.requests import Requests, open_by_due, requests, subject_of

DUE = "2026-04-01T10:00:00.000000Z"


def received(request: str, right: str = "erasure", *, subject: str = ANA, day: int = 1) -> dict:
    data = {"request_id": request, "right": right, "channel": "web", "categories": [], "case_ids": [], "due": DUE}
    return event("RightsRequestReceived", subject, data, at=f"2026-03-{day:02d}T10:00:00.000000Z")


def on_request(type_: str, **data) -> dict:
    return event(type_, ANA, {"request_id": REQUEST, **data})


VERIFIED = on_request("RequesterVerified", method="paper", outcome="verified")
FENCED = on_request(
    "ErasureFenced", certificate_id=uid(2), whole_person=True, scope_ids=[], withheld=[], withheld_grounds=[]
)
PREVIEWED = on_request("ErasurePreviewed", preview_id=uid(3), erasable=[], withheld=[], withheld_grounds=[], gone=[])


def test_a_request_as_it_came_in(feed):
    view = feed(Requests())
    view.take(received(REQUEST))

    assert view.ask(requests).items == [
        {
            "id": REQUEST,
            "subject_id": ANA,
            "right": "erasure",
            "state": "received",
            "received_at": "2026-03-01T10:00:00.000000Z",
            "due": DUE,
            "channel": "web",
        }
    ]
    assert view.ask(subject_of, UUID(REQUEST)) == UUID(ANA)
    assert view.ask(subject_of, UUID(uid(99))) is None


def test_each_step_of_an_erasure_is_a_state(feed):
    view = feed(Requests())
    steps = (
        received(REQUEST),
        on_request("RequesterVerified", method="paper", outcome="failed"),
        VERIFIED,
        PREVIEWED,
        on_request("ErasureApproved", preview_id=uid(3)),
        FENCED,
        on_request("ErasureDrained", certificate_id=uid(2), processes_acknowledged=3, processes_unanswered=1),
        keys_destroyed(ANA, [], whole=True),
        on_request("ErasureCertified", certificate_id=uid(2), view_positions={}),
    )
    states = []
    for step in steps:
        view.take(step)
        states.append(view.ask(requests).items[0]["state"])

    assert states == [
        "received",
        "received",
        "verified",
        "previewed",
        "approved",
        "fenced",
        "drained",
        "destroyed",
        "certified",
    ]


def test_an_erasure_that_is_withheld_and_goes_on_again(feed):
    view = feed(Requests())
    view.take(received(REQUEST))
    states = []
    for step in (
        on_request("ErasureWithheld", withheld=[uid(10)], withheld_grounds=["legal_hold"]),
        on_request("ErasureResumed"),
    ):
        view.take(step)
        states.append(view.ask(requests).items[0]["state"])

    assert states == ["withheld", "approved"]


def test_a_refusal_and_an_extension(feed):
    view = feed(Requests())
    view.take(
        received(REQUEST),
        on_request("RightsRequestExtended", due="2026-06-01T10:00:00.000000Z"),
        on_request("RightsRequestRefused", ground="manifestly_unfounded"),
    )

    assert [(item["state"], item["due"]) for item in view.ask(requests).items] == [
        ("refused", "2026-06-01T10:00:00.000000Z")
    ]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [3, 2, 1]),
        ({"right": "access"}, [3, 2]),
        ({"state": "received"}, [3, 2, 1]),
        ({"state": "received", "right": "erasure"}, [1]),
        ({"state": "certified"}, []),
    ],
    ids=str,
)
def test_requests_by_state_and_right_newest_first(feed, filters, expected):
    view = feed(Requests())
    view.take(received(uid(1)), received(uid(2), "access", day=2), received(uid(3), "access", subject=BEN, day=3))

    assert [item["id"] for item in view.ask(requests, **filters).items] == [uid(number) for number in expected]


def test_requests_are_paged_without_shifting(feed):
    view = feed(Requests())
    view.take(*(received(uid(number), day=number) for number in (1, 2, 3)))
    first = view.ask(requests, limit=2)
    view.take(received(uid(4), day=4))
    second = view.ask(requests, limit=2, start=first.next)

    assert [item["id"] for item in [*first.items, *second.items]] == [uid(3), uid(2), uid(1)]
    assert second.next is None


def test_open_requests_are_counted_by_when_they_are_due(feed):
    view = feed(Requests())
    view.take(received(REQUEST), received(uid(81), "access"), received(uid(82), "export"), received(uid(83)))
    view.take(event("RightsRequestRefused", ANA, {"request_id": uid(83), "ground": "withdrawn_by_person"}))
    later = "2026-04-20T10:00:00.000000Z"
    view.take(event("RightsRequestExtended", ANA, {"request_id": uid(82), "due": later}))

    def at(text: str) -> dict[str, int]:
        return view.ask(open_by_due, datetime.fromisoformat(text))

    assert at("2026-03-02T10:00:00Z") == {"overdue": 0, "within_3_days": 0, "later": 3}
    assert at("2026-03-30T10:00:00Z") == {"overdue": 0, "within_3_days": 2, "later": 1}
    assert at("2026-04-02T10:00:00Z") == {"overdue": 2, "within_3_days": 0, "later": 1}

    view.take(on_request("ErasureCertified", certificate_id=uid(2), view_positions={}))
    assert at("2026-04-02T10:00:00Z") == {"overdue": 1, "within_3_days": 0, "later": 1}
