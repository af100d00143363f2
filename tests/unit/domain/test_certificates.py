"""What follows a certified erasure: recipients told in time, paper destroyed before two people (policy clause 7.2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from domain import certificate_form, vocabulary
from domain.events import EVENT_TYPES
from domain.registry import Kind, fields_of
from domain.rights import DestroyedKeys, ErasurePlan
from tests.unit.domain.story import MANAGER, OFFICER, SECOND_OFFICER, START, Story, context
from tests.unit.domain.test_rights import plan, previewed

DESTROYED = START + timedelta(days=5)
SIGNED = "certificate as signed"


def certified(story: Story, *, signed: bool = True, tell: bool = True, withheld: bool = False) -> UUID:
    """Erase the person of a story, five days in, after one disclosure; return the request."""
    story.release(story.authorized(story.granted()))
    preview_id = uuid4()
    request_id = previewed(story, preview_id)
    story.subject.approve_erasure(context(SECOND_OFFICER, 3), uuid4(), request_id, preview_id, preview_id, plan())
    what = ErasurePlan((uuid4(),), {uuid4(): "accounting_duty"} if withheld else {}, ())
    story.subject.fence_erasure(context(days=5), uuid4(), request_id, uuid4(), what)
    story.subject.record_drain(context(days=5), uuid4(), request_id, 3, 0)
    story.subject.record_destruction(
        context(days=5), uuid4(), request_id, DestroyedKeys(what.erasable, DESTROYED, DESTROYED, 1, 2, ("ab" * 16,))
    )
    story.subject.certify_erasure(context(days=5), uuid4(), request_id, {"people": 9})
    if tell:
        for recipient, disclosures in story.subject.disclosed_to([("medical", story.case.id)]).items():
            story.subject.schedule_notification(context(days=5), uuid4(), request_id, recipient, disclosures)
    if signed:
        sign(story, request_id, SIGNED, 5)
    story.recorded()
    return request_id


def sign(story: Story, request_id: UUID, document: str, days: int) -> None:
    certificate_id = story.subject.certificate(request_id).id
    story.subject.sign(context(days=days), uuid4(), request_id, certificate_id, "k" * 43, document)


def notify(story: Story, request_id: UUID, day: float = 6, now: float = 8, delivery: str = "delivered", **to: UUID):
    recipient_id = to.get("recipient_id", story.recipient.id)
    sent = START + timedelta(days=day)
    story.subject.notify_recipient(context(OFFICER, now), uuid4(), request_id, recipient_id, "email", sent, delivery)


def acknowledge(story: Story, request_id: UUID, day: float = 7, now: float = 8) -> None:
    moment = START + timedelta(days=day)
    story.subject.acknowledge_erasure(context(OFFICER, now), uuid4(), request_id, story.recipient.id, "email", moment)


def report(story: Story, request_id: UUID, day: float = 6) -> UUID:
    report_id = uuid4()
    story.subject.report_paper_destruction(
        context(OFFICER, 8), uuid4(), request_id, report_id, "shredding", 12, START + timedelta(days=day)
    )
    return report_id


def test_every_recipient_of_what_was_erased_is_owed_notice_within_a_month(story: Story) -> None:
    request_id = certified(story)
    [notice] = story.subject.certificate(request_id).notices.values()

    assert notice.recipient_id == story.recipient.id
    assert notice.disclosure_ids == tuple(story.subject.disclosures)
    assert notice.due == datetime(2026, 4, 6, 9, 0, tzinfo=UTC)
    assert (notice.sent, notice.acknowledged) == (None, None)


@pytest.mark.parametrize(
    ("category", "of_case", "told"),
    [("medical", True, True), ("identity", False, True), ("insurance", True, False), ("medical", None, False)],
    ids=["its case", "no case", "category that was not disclosed", "another case"],
)
def test_only_recipients_of_what_was_erased_are_told(story: Story, category: str, of_case, told: bool) -> None:
    story.release(story.authorized(story.granted()))
    case_id = {True: story.case.id, False: None, None: uuid4()}[of_case]

    assert (story.recipient.id in story.subject.disclosed_to([(category, case_id)])) is told


def test_a_disclosure_that_never_went_out_is_told_to_nobody(story: Story) -> None:
    story.authorized(story.granted())

    assert story.subject.disclosed_to([("medical", story.case.id)]) == {}


def test_told_then_acknowledged(story: Story) -> None:
    request_id = certified(story)
    notify(story, request_id)
    acknowledge(story, request_id)
    [notice] = story.subject.certificate(request_id).notices.values()

    assert (notice.sent, notice.acknowledged) == (START + timedelta(days=6), START + timedelta(days=7))
    assert story.recorded() == ["RecipientNotifiedOfErasure", "RecipientAcknowledgedErasure"]


def test_what_came_back_leaves_the_recipient_to_be_told(story: Story, refused) -> None:
    request_id = certified(story)
    notify(story, request_id, delivery="failed")

    assert refused(acknowledge, story, request_id) == "recipient-not-told"
    notify(story, request_id, day=7)
    assert refused(notify, story, request_id, day=7.5) == "recipient-already-told"


def test_a_second_acknowledgement_is_refused(story: Story, refused) -> None:
    request_id = certified(story)
    notify(story, request_id)
    acknowledge(story, request_id)

    assert refused(acknowledge, story, request_id) == "recipient-acknowledged"


def test_a_recipient_that_the_certificate_does_not_name_is_refused(story: Story, refused) -> None:
    request_id = certified(story)

    assert refused(notify, story, request_id, recipient_id=uuid4()) == "recipient-not-on-certificate"


@pytest.mark.parametrize("day", [4.99, 8.01], ids=["before the destruction", "in the future"])
def test_nobody_is_told_before_it_is_so_or_after_now(story: Story, refused, day: float) -> None:
    assert refused(notify, story, certified(story), day=day) == "supplement-time"


def test_nobody_acknowledges_before_being_told(story: Story, refused) -> None:
    request_id = certified(story)
    notify(story, request_id)

    assert refused(acknowledge, story, request_id, day=5.5) == "supplement-time"


def test_paper_counts_when_a_second_person_confirms(story: Story, refused) -> None:
    request_id = certified(story)
    report_id = report(story, request_id)
    confirm = story.subject.confirm_paper_destruction

    assert refused(confirm, context(OFFICER, 8), uuid4(), request_id, report_id) == "second-witness-required"
    confirm(context(SECOND_OFFICER, 8), uuid4(), request_id, report_id)
    assert refused(confirm, context(MANAGER, 8), uuid4(), request_id, report_id) == "paper-report-confirmed"
    assert refused(confirm, context(MANAGER, 8), uuid4(), request_id, uuid4()) == "paper-report-unknown"
    assert story.recorded() == ["PaperDestructionReported", "PaperRecordsDestroyed"]


@pytest.mark.parametrize("day", [-1, 9])
def test_paper_is_destroyed_between_the_request_and_now(story: Story, refused, day: float) -> None:
    assert refused(report, story, certified(story), day) == "supplement-time"


@pytest.mark.parametrize("act", [notify, acknowledge, report])
def test_nothing_supplements_what_is_not_signed(story: Story, refused, act) -> None:
    assert refused(act, story, certified(story, signed=False)) == "certificate-pending"


@pytest.mark.parametrize("act", [notify, acknowledge, report])
def test_nothing_supplements_what_is_not_certified(story: Story, refused, act) -> None:
    request_id = previewed(story, uuid4())

    assert refused(act, story, request_id) == "certificate-pending"


def again(story: Story, request_id: UUID) -> UUID:
    """Let an erasure go on for what it withheld, eight days in, and certify that, too; return the certificate."""
    subject, certificate_id = story.subject, uuid4()
    freed = ErasurePlan(subject.request(request_id).withheld, {}, ())
    subject.resume_erasure(context(days=8), uuid4(), request_id, freed)
    subject.fence_erasure(context(days=8), uuid4(), request_id, certificate_id, freed)
    subject.record_drain(context(days=8), uuid4(), request_id, 3, 0)
    at = START + timedelta(days=8)
    gone = DestroyedKeys(freed.erasable, at, at, 2, 3, ("cd" * 16,))
    subject.record_destruction(context(days=8), uuid4(), request_id, gone)
    subject.certify_erasure(context(days=8), uuid4(), request_id, {"people": 12})
    for recipient, disclosures in subject.disclosed_to([("identity", None)]).items():
        subject.schedule_notification(context(days=8), uuid4(), request_id, recipient, disclosures)
    sign(story, request_id, "second certificate", 8)
    return certificate_id


def test_each_run_of_an_erasure_has_its_own_certificate_and_notices(story: Story) -> None:
    request_id = certified(story, withheld=True)
    first = story.subject.certificate(request_id)
    second_id = again(story, request_id)

    one, two = story.subject.certificates_of(request_id)
    assert (one, two.id, story.subject.certificate(request_id)) == (first, second_id, two)
    assert (one.documents, two.documents) == ((SIGNED,), ("second certificate",))
    assert (one.notices[story.recipient.id].due, two.notices[story.recipient.id].due) == (
        datetime(2026, 4, 6, 9, 0, tzinfo=UTC),
        datetime(2026, 4, 9, 9, 0, tzinfo=UTC),
    )


def test_between_two_runs_the_first_certificate_is_supplemented(story: Story) -> None:
    request_id = certified(story, withheld=True)
    first = story.subject.certificate(request_id)
    freed = ErasurePlan(story.subject.request(request_id).withheld, {}, ())
    story.subject.resume_erasure(context(days=7), uuid4(), request_id, freed)
    notify(story, request_id)

    assert story.subject.certificate(request_id).notices[story.recipient.id].sent == START + timedelta(days=6)
    assert story.subject.certificate(request_id).id == first.id


def test_word_to_a_recipient_goes_under_the_first_certificate_that_waits_for_it(story: Story, refused) -> None:
    request_id = certified(story, withheld=True)
    again(story, request_id)
    for _ in range(2):
        notify(story, request_id, day=9, now=9)
    refusals = [refused(notify, story, request_id, 9, 9)]
    for _ in range(2):
        acknowledge(story, request_id, day=9, now=9)
    refusals.append(refused(acknowledge, story, request_id, 9, 9))

    sent = START + timedelta(days=9)
    notices = [c.notices[story.recipient.id] for c in story.subject.certificates_of(request_id)]
    assert [(n.sent, n.acknowledged) for n in notices] == [(sent, sent), (sent, sent)]
    assert refusals == ["recipient-already-told", "recipient-acknowledged"]


def test_paper_is_confirmed_under_the_certificate_it_was_reported_under(story: Story) -> None:
    request_id = certified(story, withheld=True)
    report_id = report(story, request_id)
    again(story, request_id)
    later_id = report(story, request_id)
    for each in (report_id, later_id):
        story.subject.confirm_paper_destruction(context(SECOND_OFFICER, 9), uuid4(), request_id, each)

    one, two = story.subject.certificates_of(request_id)
    assert (one.paper[report_id].confirmed, two.paper[later_id].confirmed) == (True, True)
    assert (set(one.paper), set(two.paper)) == ({report_id}, {later_id})


def test_a_supplement_has_the_fields_of_the_event_it_reports() -> None:
    assert set(certificate_form._FACTS) == vocabulary.SUPPLEMENT_FACTS
    for fact, form in certificate_form._FACTS.items():
        declared = {name: kind.name for name, kind in fields_of(EVENT_TYPES[fact]).items()}
        assert declared == {"request_id": "id", "certificate_id": "id", **{n: kind.name for n, kind in form.items()}}


def test_documents_are_kept_in_order_and_numbered(story: Story) -> None:
    request_id = certified(story)
    sign(story, request_id, "first supplement", 6)
    [event] = story.subject.collect_events()

    assert event.number == 1
    assert story.subject.certificate(request_id).documents == (SIGNED, "first supplement")


@pytest.mark.parametrize(
    "topic",
    [
        "CertificateSigned",
        "RecipientNotificationScheduled",
        "RecipientNotifiedOfErasure",
        "RecipientAcknowledgedErasure",
        "PaperDestructionReported",
        "PaperRecordsDestroyed",
    ],
)
def test_what_can_follow_a_fence_carries_nothing_sealed(topic: str) -> None:
    assert all(isinstance(declared, Kind) for declared in fields_of(EVENT_TYPES[topic]).values())
