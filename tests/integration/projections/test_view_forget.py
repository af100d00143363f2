from uuid import UUID

import pytest
from view_records import ANA, BEN, CERTIFICATE, REQUEST, event, keys_destroyed, uid

from domain.errors import KeysUnavailable, LogDiverged
from projections.catalogue import projections
from projections.forget import Forget, request_of, unfinished, waiting

CAUSE = {step: uid(number) for number, step in enumerate(("approved", "fenced", "destroyed", "certified"), 500)}


class Port:
    """Carries out nothing, writes down what it was asked for, and fails when told to."""

    def __init__(self) -> None:
        self.asked: list[tuple] = []
        self.failures: dict[UUID, Exception] = {}
        self.together: list[int] = []

    def fence(self, erasure):
        self._note("fence", erasure)

    def drain(self, erasures):
        return self._note_each("drain", erasures)

    def destroy(self, erasures):
        self.together.append(len(erasures))
        return self._note_each("destroy", erasures)

    def _note_each(self, step, erasures):
        for erasure in erasures:
            if erasure.request_id not in self.failures:
                self._note(step, erasure)
        return {e.request_id: self.failures[e.request_id] for e in erasures if e.request_id in self.failures}

    def certify(self, erasure, view_positions):
        self._note("certify", erasure, dict(view_positions))

    def _note(self, step, erasure, *rest):
        if erasure.request_id in self.failures:
            raise self.failures[erasure.request_id]
        self.asked.append((step, str(erasure.subject_id), str(erasure.request_id), str(erasure.cause), *rest))


def approved(request: str = REQUEST, subject: str = ANA) -> dict:
    data = {"request_id": request, "preview_id": uid(3)}
    return event("ErasureApproved", subject, data, event_id=CAUSE["approved"])


def fenced() -> dict:
    data = {
        "request_id": REQUEST,
        "certificate_id": CERTIFICATE,
        "whole_person": True,
        "scope_ids": [uid(10)],
        "withheld": [],
        "withheld_grounds": [],
    }
    return event("ErasureFenced", ANA, data, event_id=CAUSE["fenced"])


def destroyed() -> dict:
    return {**keys_destroyed(ANA, [uid(10)], whole=True), "event_id": CAUSE["destroyed"]}


def certified() -> dict:
    data = {"request_id": REQUEST, "certificate_id": CERTIFICATE, "view_positions": {}}
    return event("ErasureCertified", ANA, data, event_id=CAUSE["certified"])


def gone_through(request: str = REQUEST, subject: str = ANA, steps=("fence", "drain", "destroy")) -> list[tuple]:
    """Return what is asked at once for an erasure that was approved."""
    return [(step, subject, request, CAUSE["approved"]) for step in steps]


@pytest.fixture
def port():
    return Port()


@pytest.fixture
def forget(feed, port):
    return feed(Forget(port))


def tick(feed) -> None:
    feed.ask(feed.projection.tick)


@pytest.mark.parametrize("way", ["take", "take_one_by_one"])
def test_how_far_an_erasure_is_is_noted_whatever_the_batches(feed, port, way):
    view = feed(Forget(port))
    getattr(view, way)(approved(), fenced(), destroyed())

    noted = {"id": REQUEST, "subject_id": ANA, "certificate_id": CERTIFICATE}
    assert view.ask(unfinished) == [{**noted, "step": "destroyed", "cause": CAUSE["destroyed"]}]

    view.take(certified())
    assert view.ask(unfinished) == []


def test_taking_events_in_asks_the_port_for_nothing(forget, port):
    forget.take(approved(), fenced(), destroyed())

    assert port.asked == []


def test_what_is_approved_is_fenced_and_destroyed_without_waiting_for_the_event_of_the_fence(forget, port):
    forget.take(approved())
    tick(forget)
    assert port.asked == gone_through()

    forget.take(fenced())
    tick(forget)
    assert port.asked == gone_through()


def test_what_is_fenced_asks_for_the_next(forget, port):
    forget.take(approved(), fenced())
    tick(forget)

    assert port.asked == [(step, ANA, REQUEST, CAUSE["fenced"]) for step in ("drain", "destroy")]


def test_what_is_due_together_is_destroyed_together(forget, port):
    forget.take(approved(), fenced(), *(approved(uid(number), BEN) for number in range(70, 75)))
    tick(forget)

    assert port.together == [6]
    assert [asked[0] for asked in port.asked] == ["fence"] * 5 + ["drain"] * 6 + ["destroy"] * 6


def test_the_oldest_go_first_where_there_are_too_many_for_one_rotation(forget, port, monkeypatch):
    monkeypatch.setattr("projections.forget.TOGETHER", 2)
    forget.take(*(approved(uid(number), BEN) for number in range(70, 75)))
    for _ in range(4):
        tick(forget)

    assert port.together == [2, 2, 1]
    assert [asked[2] for asked in port.asked if asked[0] == "destroy"] == [uid(number) for number in range(70, 75)]


def test_an_erasure_withheld_asks_for_nothing_until_it_goes_on(forget, port):
    withheld = {"request_id": REQUEST, "withheld": [uid(10)], "withheld_grounds": ["legal_hold"]}
    forget.take(approved(), event("ErasureWithheld", ANA, withheld))
    tick(forget)
    waits = (list(port.asked), forget.ask(unfinished), forget.ask(waiting))
    forget.take(event("ErasureResumed", ANA, {"request_id": REQUEST}, event_id=uid(600)))
    tick(forget)

    assert waits == ([], [], {})
    assert port.asked == [(step, ANA, REQUEST, uid(600)) for step in ("fence", "drain", "destroy")]


def test_a_certified_erasure_goes_on_under_a_second_certificate(forget, port):
    forget.take(approved(), fenced(), destroyed(), certified())
    forget.take(event("ErasureResumed", ANA, {"request_id": REQUEST}, event_id=uid(600)))
    tick(forget)
    again = fenced()
    again["data"]["certificate_id"] = uid(601)
    forget.take(again)

    assert port.asked == [(step, ANA, REQUEST, uid(600)) for step in ("fence", "drain", "destroy")]
    [found] = forget.ask(unfinished)
    assert (found["step"], found["certificate_id"]) == ("fenced", uid(601))
    assert [forget.ask(request_of, UUID(c)) for c in (CERTIFICATE, uid(601), uid(602))] == [
        UUID(REQUEST),
        UUID(REQUEST),
        None,
    ]


def test_a_step_done_is_not_asked_for_again_while_its_event_is_on_its_way(forget, port):
    forget.take(approved())
    tick(forget)
    tick(forget)

    assert port.asked == gone_through()


def test_a_step_whose_event_never_comes_round_is_asked_for_again(forget, port, monkeypatch):
    monkeypatch.setattr("projections.forget.REPEAT_SECONDS", 0)
    forget.take(approved())
    tick(forget)
    tick(forget)

    assert port.asked == gone_through() * 2


def test_a_process_that_starts_after_a_crash_asks_again_and_the_note_is_there(forget, connect):
    forget.take(approved())
    after_crash = Port()
    with connect() as connection, connection.cursor() as cursor:
        Forget(after_crash).tick(cursor)

    assert after_crash.asked == gone_through()


def test_a_step_that_failed_is_asked_for_at_the_next_tick(forget, port):
    forget.take(approved())
    port.failures[UUID(REQUEST)] = KeysUnavailable("down")
    with pytest.raises(KeysUnavailable):
        tick(forget)
    with pytest.raises(KeysUnavailable):
        tick(forget)
    port.failures.clear()
    tick(forget)

    assert port.asked == gone_through()
    assert [saga["step"] for saga in forget.ask(unfinished)] == ["approved"]


@pytest.mark.parametrize("failure", [KeysUnavailable("down"), LogDiverged(7)], ids=["retriable", "terminal"])
def test_an_erasure_that_cannot_go_on_holds_up_no_other(forget, port, failure):
    forget.take(approved(), approved(uid(71), BEN))
    port.failures[UUID(REQUEST)] = failure
    with pytest.raises(type(failure)):
        tick(forget)

    assert port.asked == gone_through(uid(71), BEN)
    forget.take(fenced())
    assert {saga["id"]: saga["step"] for saga in forget.ask(unfinished)} == {REQUEST: "fenced", uid(71): "approved"}


def destroyed_long_ago(number: int) -> list[dict]:
    """Return the events of an erasure whose purge this view alone has reported."""
    purge = keys_destroyed(ANA, [uid(3000 + number)], whole=False, certificate=uid(2000 + number))
    purge["data"]["request_id"] = uid(1000 + number)
    return [approved(uid(1000 + number)), purge]


def test_erasures_that_wait_for_a_view_hold_up_no_other(forget, port, monkeypatch):
    monkeypatch.setattr("projections.forget.TOGETHER", 3)
    forget.take(*(event for number in range(3) for event in destroyed_long_ago(number)), approved(uid(71), BEN))
    tick(forget)

    assert port.asked == gone_through(uid(71), BEN)


def test_erasures_that_fail_hold_up_no_other_however_many_they_are_and_take_turns(forget, port, monkeypatch):
    monkeypatch.setattr("projections.forget.TOGETHER", 3)
    monkeypatch.setattr("projections.forget.REPEAT_SECONDS", 3600)
    failing = [uid(number) for number in range(70, 75)]
    port.failures = {UUID(request): LogDiverged(7) for request in failing}
    forget.take(*(approved(request) for request in failing), approved(uid(80), BEN), approved(uid(81), BEN))
    for _ in range(3):
        with pytest.raises(LogDiverged):
            tick(forget)

    done = [asked for asked in port.asked if asked[0] == "destroy"]
    assert [asked[2] for asked in done] == [uid(80), uid(81)]
    forget.take(approved(uid(82), BEN))
    with pytest.raises(LogDiverged):
        tick(forget)
    assert port.asked[-1] == ("destroy", BEN, uid(82), CAUSE["approved"])

    port.failures.clear()
    for _ in range(2):
        tick(forget)
    again = {asked[2] for asked in port.asked if asked[0] == "destroy"}
    assert again == {*failing, uid(80), uid(81), uid(82)}


def test_certificates_that_cannot_be_made_hold_up_no_other(feed, port, vault, monkeypatch):
    monkeypatch.setattr("projections.forget.TOGETHER", 3)
    numbers = range(4)
    for view in (views := {projection.name: feed(projection) for projection in projections(port, vault)}).values():
        view.take(*(event for number in numbers for event in destroyed_long_ago(number)))
    port.failures = {UUID(uid(1000 + number)): KeysUnavailable("down") for number in (0, 1, 2)}
    for _ in range(2):
        with pytest.raises(KeysUnavailable):
            tick(views["forget"])

    assert [(asked[0], asked[2]) for asked in port.asked] == [("certify", uid(1003))]


def test_certification_waits_for_every_view_to_have_purged(feed, port, vault):
    views = {projection.name: feed(projection) for projection in projections(port, vault)}
    forget = views["forget"]
    last = views["case_page"]
    for view in views.values():
        view.take(approved(), fenced())
        if view is not last:
            view.take(destroyed())
    tick(forget)

    assert port.asked == []

    last.take(destroyed())
    tick(forget)
    ours = [asked for asked in port.asked if asked[0] == "certify"]
    positions = {
        "people": 3,
        "worklist": 3,
        "case_page": 3,
        "consents": 3,
        "disclosures": 3,
        "recipients": 3,
        "requests": 3,
        "search_index": 3,
        "forget": 3,
    }
    assert ours == [("certify", ANA, REQUEST, CAUSE["destroyed"], positions)]

    forget.take(certified())
    tick(forget)
    assert port.asked == ours


def test_a_view_that_is_being_rebuilt_is_waited_for_again(feed, port, vault):
    views = {projection.name: feed(projection) for projection in projections(port, vault)}
    for view in views.values():
        view.take(approved(), fenced(), destroyed())
    rebuilt = feed(views["people"].projection)
    rebuilt.take(approved(), fenced())
    tick(views["forget"])
    assert port.asked == []

    rebuilt.take(destroyed())
    tick(views["forget"])
    assert [asked[0] for asked in port.asked] == ["certify"]


def test_a_rebuilt_forget_view_asks_for_nothing_that_is_certified(feed, port):
    first = feed(Forget(port))
    first.take(approved(), fenced(), destroyed(), certified())
    rebuilt = feed(Forget(port))
    rebuilt.take(approved(), fenced(), destroyed(), certified())
    tick(rebuilt)

    assert port.asked == []


def test_forget_never_parks(port, vault):
    assert {projection.name for projection in projections(port, vault) if not projection.parks} == {"forget"}


def test_waiting_counts_the_unfinished_by_step_and_tells_since_when(feed, port):
    view = feed(Forget(port))
    early, late = "2026-03-01T10:00:00.000000Z", "2026-03-05T10:00:00.000000Z"

    def on(request: str, at: str) -> dict:
        return {**approved(request), "event_id": uid(int(request[-4:], 16) + 900), "occurred_at": at}

    view.take(on(uid(71), late), on(uid(72), early), {**approved(), "occurred_at": early}, fenced(), destroyed())
    view.take(certified())
    counted = view.ask(waiting)

    assert {step: (many, oldest.isoformat()) for step, (many, oldest) in counted.items()} == {
        "approved": (2, "2026-03-01T10:00:00+00:00")
    }

    other = feed(Forget(port))
    other.take(approved(), {**fenced(), "occurred_at": late})
    assert {step: many for step, (many, _) in other.ask(waiting).items()} == {"fenced": 1}
    assert other.ask(waiting)["fenced"][1].isoformat() == "2026-03-05T10:00:00+00:00"
