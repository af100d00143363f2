"""What is published, in which order and under which ids; what is already answered is not sent again."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.fhir.intake import Import
from cli.fhir.message_ids import MessageIds
from cli.fhir.publishing import PeoplePublisher, Said

KEY = bytes(range(32))


class Service:
    """Answers like the service: each message id once, and remembers it. It can refuse commands or be told to stop."""

    def __init__(self):
        self.answers: dict[UUID, Said] = {}
        self.sent: list[tuple[str, dict]] = []
        self.refuse: dict[str, Said] = {}

    def before(self, message_id):
        return self.answers.get(message_id)

    def send(self, messages):
        said = []
        for message_id, command, data in messages:
            self.sent.append((command, data))
            answer = self.refuse.get(command) or Said({"id": f"{command}-{len(self.sent)}"})
            said.append(self.answers.setdefault(message_id, answer))
        return said


def person(name="Heide", reason="Cough", identity=("identifier", "urn:x", "1")):
    answers = {"reason": reason, "medical_history": [], "medications": [], "allergies": []}
    registration = {"identity": {"family_name": name}, "language": "en", "notice": {"policy_version": "1"}}
    return Import(identity, (1, 0), registration, [answers])


def publisher(service, source="", kind="care_coordination"):
    return PeoplePublisher(service, MessageIds(KEY, source), "1", kind)


def test_three_commands_each_with_the_answer_of_the_one_before():
    service = Service()

    (result,) = publisher(service).publish([person()])

    form = {"form": "medical_intake", "form_version": 1, "notice": {"policy_version": "1"}}
    assert service.sent == [
        ("register_subject", person().registration),
        ("open_case", {"subject_id": "register_subject-1", "kind": "care_coordination"}),
        ("submit_intake", {"case_id": "open_case-2", "answers": person().answers[0], **form}),
    ]
    assert (result.known, result.refused, result.published) == (False, "", [c for c, _ in service.sent])


def test_again_nothing_is_sent():
    service = Service()
    publisher(service).publish([person()])

    (result,) = publisher(service).publish([person(name="Renamed")])

    assert len(service.sent) == 3
    assert (result.known, result.case_id, result.published) == (True, "open_case-2", [])


def test_a_refused_person_goes_no_further_and_is_tried_anew_next_time():
    service = Service()
    service.refuse["open_case"] = Said(None, "subject-erased")

    (refused,) = publisher(service).publish([person()])
    service.refuse.clear()
    (taken,) = publisher(service).publish([person()])

    assert (refused.refused, refused.published) == ("subject-erased", ["register_subject"])
    assert (taken.refused, taken.known) == ("", True)
    assert [command for command, _ in service.sent] == ["register_subject", "open_case", "open_case", "submit_intake"]


def test_a_body_that_no_schema_takes_is_not_sent():
    service = Service()

    (result,) = publisher(service).publish([person(name="")])

    assert service.sent == []
    assert (result.refused, result.fields) == ("invalid-input", ("identity.family_name",))


def test_answered_meanwhile_to_another_import():
    service = Service()

    class Faster(Service):
        def send(self, messages):
            service.send(messages)
            return [Said(None, "idempotency-key-reused") for _ in messages]

    late = Faster()
    late.answers = service.answers
    looked = late.before
    late.before = lambda message_id: looked(message_id) if service.sent and service.sent[-1] else None

    (result,) = publisher(late).publish([person()])

    assert (result.refused, result.subject_id) == ("", "register_subject-1")


class TestIds:
    def of(self, source="", command="open_case", identity=("a", "b"), content=None, attempt=0):
        return MessageIds(KEY, source).of(command, identity, content, attempt)

    def test_form_is_a_uuid_of_version_8(self):
        made = self.of()

        assert (made.version, made.variant) == (8, "specified in RFC 4122")

    def test_against_openssl(self):
        """HMAC-SHA256 of ``["src", "open_case", ["a", "b"], null, 0]`` under the bytes 00 to 1f, by ``openssl dgst``:
        27bcb1a1a384d02a3a7c2acbfd07f8baf779785d9e92c302f7660e11e9501fc3
        """
        assert str(self.of(source="src")) == "27bcb1a1-a384-802a-ba7c-2acbfd07f8ba"

    @pytest.mark.parametrize(
        "other",
        [
            {"source": "x"},
            {"command": "x"},
            {"identity": ("ab",)},
            {"identity": ("a", "c")},
            {"content": 1},
            {"attempt": 1},
        ],
    )
    def test_everything_counts(self, other):
        assert self.of(**other) != self.of()

    def test_the_key_counts(self):
        assert MessageIds(b"other", "").of("open_case", ("a", "b"), None, 0) != self.of()

    @given(st.dictionaries(st.text(), st.text()))
    def test_order_of_keys_does_not(self, content):
        assert self.of(content=dict(reversed(content.items()))) == self.of(content=content)
