"""Replay of a hand-written log: every expected value is written out here."""

from __future__ import annotations

import json
import random

import pytest
from replay_log import (
    AGREEMENT,
    ANNA,
    BERT,
    CASE,
    CERTIFICATE,
    CLERK,
    CONSENT,
    DISCLOSURE,
    IDENTITY_SCOPE,
    INTAKE,
    MEDICAL_SCOPE,
    OFFICER,
    OTHER_CASE,
    RECIPIENT,
    REQUEST,
    SERVICE,
    SYSTEM,
    TOMBSTONE,
    Log,
    at,
    part,
    person,
    replay_anna,
    story,
    uid,
)

from audit.replay import find_subject, replay
from domain.errors import NotFound


class TestHistory:
    def test_all_events_of_the_person_in_order_and_no_others(self):
        history = replay_anna()["history"]

        assert [(e["position"], e["type"]) for e in history] == [
            (1, "SubjectRegistered"),
            (2, "NoticeServed"),
            (4, "CaseOpened"),
            (6, "IntakeSubmitted"),
            (9, "ConsentGranted"),
            (10, "DisclosureRequested"),
            (11, "DisclosureAuthorized"),
            (12, "DisclosureReleased"),
            (13, "AccessRecorded"),
            (14, "RightsRequestReceived"),
            (15, "ErasureFenced"),
            (16, "ErasureKeysDestroyed"),
            (17, "ErasureCertified"),
        ]

    def test_an_entry_in_full(self):
        assert replay_anna()["history"][3] == {
            "position": 6,
            "event_id": uid(1006),
            "type": "IntakeSubmitted",
            "stream_id": CASE,
            "stream_version": 2,
            "occurred_at": at(6),
            "recorded_at": at(6),
            "actor": SERVICE,
            "producer": "api",
            "purpose": "casework",
            "legal_basis": "contract",
            "policy_version": "1",
            "case_id": CASE,
            "data": {"intake_id": INTAKE, "form": "medical_intake", "form_version": 1, "notice_version": "1"},
            "sealed": {"medical": TOMBSTONE},
        }

    def test_other_people_in_a_shared_event_are_not_named(self):
        assert BERT not in json.dumps(replay_anna())

    def test_ciphertext_is_never_shown(self):
        assert "ck1." not in json.dumps(replay_anna("6", story()))

    def test_what_is_not_erased_is_shown_as_sealed(self):
        log = story()

        history = replay(log.records(upto=15), person(ANNA))["history"]

        assert history[0]["sealed"] == {"identity": {"sealed": {"category": "identity", "scope_id": IDENTITY_SCOPE}}}

    def test_another_persons_erasure_touches_nothing(self):
        history = replay(story().records(), person(BERT))["history"]

        assert history[0]["sealed"] == {"identity": {"sealed": {"category": "identity", "scope_id": uid(201)}}}

    def test_single_scopes_leave_the_rest_sealed(self):
        log = Log()
        sealed = {"identity": part(ANNA, "identity", IDENTITY_SCOPE)}
        log.add("SubjectRegistered", ANNA, [ANNA], SERVICE, {"engagement": 1, "language": "en"}, sealed)
        note = {"note": part(ANNA, "medical", MEDICAL_SCOPE)}
        log.add("CaseOpened", CASE, [ANNA], SERVICE, {"kind": "second_opinion", "engagement": 1}, case=CASE)
        log.add("NoteAdded", CASE, [ANNA], CLERK, {"note_id": uid(95)}, note, CASE)
        request = {
            "request_id": REQUEST,
            "right": "erasure",
            "channel": "web",
            "categories": ["medical"],
            "case_ids": [],
        }
        log.add("RightsRequestReceived", ANNA, [ANNA], SERVICE, {**request, "due": at(59)})
        fence = {
            "request_id": REQUEST,
            "certificate_id": CERTIFICATE,
            "whole_person": False,
            "scope_ids": [MEDICAL_SCOPE],
        }
        log.add(
            "ErasureFenced", ANNA, [ANNA], SYSTEM, {**fence, "withheld": [uid(103)], "withheld_grounds": ["legal_hold"]}
        )
        gone = {"destroyed_at": at(16), "unrecoverable_after": at(17), "root_epoch_before": 1, "root_epoch_after": 2}
        log.add("ErasureKeysDestroyed", ANNA, [ANNA], SYSTEM, {**fence, **gone, "fingerprints": []})

        state = replay_anna(log=log)["state"]

        assert state["subject"]["identity"] == {"sealed": {"category": "identity", "scope_id": IDENTITY_SCOPE}}
        assert state["subject"]["state"] == "registered"
        assert state["cases"][0]["notes"] == [{"id": uid(95), "at": at(3), "author": "c1", "note": TOMBSTONE}]
        assert state["erasures"][0]["withheld"] == [{"scope_id": uid(103), "ground": "legal_hold"}]


class TestEngagements:
    def test_the_latest_with_its_identity_and_the_earlier_one_s_in_the_history(self):
        log = Log()
        first, second = part(ANNA, "identity", IDENTITY_SCOPE), part(ANNA, "identity", uid(205))
        log.add("SubjectRegistered", ANNA, [ANNA], SERVICE, {"engagement": 1, "language": "en"}, {"identity": first})
        started = {"engagement": 2, "language": "de"}
        log.add("EngagementStarted", ANNA, [ANNA], SERVICE, started, {"identity": second})

        found = replay_anna(log=log)

        shown = {"sealed": {"category": "identity", "scope_id": uid(205)}}
        subject = found["state"]["subject"]
        assert (subject["engagement"], subject["language"], subject["identity"]) == (2, "de", shown)
        assert found["history"][0]["sealed"]["identity"]["sealed"]["scope_id"] == IDENTITY_SCOPE


class TestHolds:
    def test_each_with_what_came_too_late(self):
        log, hold_id, late_id = Log(), uid(701), uid(702)
        log.add("SubjectRegistered", ANNA, [ANNA], SERVICE, {"engagement": 1, "language": "en"})
        terms = {
            "ground": "legal_hold",
            "instrument_id": uid(703),
            "categories": ["medical"],
            "case_ids": [],
            "review_date": at(50),
        }
        gone = {"reason": "already_destroyed", "certificate_id": CERTIFICATE, "scope_ids": [MEDICAL_SCOPE]}
        log.add("HoldPlaced", ANNA, [ANNA], OFFICER, {"hold_id": hold_id, **terms})
        log.add("HoldIneffective", ANNA, [ANNA], OFFICER, {"hold_id": hold_id, **terms, **gone})
        log.add("HoldIneffective", ANNA, [ANNA], OFFICER, {"hold_id": late_id, **terms, **gone})
        log.add("HoldReleased", ANNA, [ANNA], OFFICER, {"hold_id": hold_id})

        assert replay_anna(log=log)["state"]["holds"] == [
            {
                "id": hold_id,
                "state": "released",
                **terms,
                "placed_at": at(2),
                "ineffective": [gone],
                "released_at": at(5),
            },
            {"id": late_id, "state": "ineffective", **terms, "placed_at": at(4), "ineffective": [gone]},
        ]


class TestState:
    def test_at_the_end(self):
        found = replay_anna()
        state = found["state"]

        assert found["as_of"] == {"position": 18, "time": at(18)}
        assert state["policy_in_force"] == "2"
        assert state["subject"] == {
            "id": ANNA,
            "state": "erased",
            "engagement": 1,
            "language": "en",
            "registered_at": at(1),
            "identity": TOMBSTONE,
            "notices": [{"policy_version": "1", "language": "en", "at": at(2)}],
        }
        assert state["reads"] == 1
        assert state["requests"] == [
            {
                "id": REQUEST,
                "right": "erasure",
                "channel": "web",
                "categories": [],
                "case_ids": [],
                "state": "certified",
                "received_at": at(14),
                "due": "2026-04-01T10:14:00.000000Z",
                "statement": None,
            }
        ]
        assert state["erasures"] == [
            {
                "certificate_id": CERTIFICATE,
                "request_id": REQUEST,
                "state": "certified",
                "whole_person": True,
                "scopes": [IDENTITY_SCOPE, MEDICAL_SCOPE],
                "withheld": [],
                "fenced_at": at(15),
                "destroyed_at": at(16),
                "unrecoverable_after": at(17),
                "root_epochs": {"before": 4, "after": 5},
                "fingerprints": ["00ff00ff00ff00ff"],
                "certified_at": at(17),
                "views": {"people": 16},
            }
        ]

    def test_disclosure_with_the_facts_that_allowed_it(self):
        (disclosure,) = replay_anna()["state"]["disclosures"]

        assert disclosure["state"] == "released"
        assert disclosure["requested"] == {"at": at(10), "position": 10, "actor": CLERK}
        assert disclosure["authorized"] == {"at": at(11), "position": 11, "actor": OFFICER}
        assert disclosure["source_event_ids"] == [uid(1006)]
        assert disclosure["allowed_by"] == {
            "policy_clause": "3",
            "policy_version": "2",
            "consent": {
                "id": CONSENT,
                "purpose": "treatment",
                "recipient_ids": [RECIPIENT],
                "categories": ["medical"],
                "policy_version": "1",
                "language": "en",
                "method": "paper",
                "valid_until": at(14),
                "state": "granted",
                "granted_at": at(9),
                "position": 9,
            },
            "agreement": {
                "id": AGREEMENT,
                "recipient_id": RECIPIENT,
                "purposes": ["treatment"],
                "valid_from": at(0),
                "valid_until": None,
                "position": 8,
            },
            "second_person": True,
        }

    def test_who_acted_in_which_role(self):
        principals = replay_anna()["state"]["principals"]

        assert [(p["issuer"], p["id"], p["role"], p["first_position"], p["last_position"]) for p in principals] == [
            ("casekeeper", "saga", "system", 15, 17),
            ("forms", "web", "service", 1, 14),
            ("idp", "c1", "case_manager", 10, 13),
            ("idp", "o1", "privacy_officer", 11, 11),
        ]

    def test_case(self):
        (case,) = replay_anna()["state"]["cases"]

        assert (case["id"], case["state"], case["kind"], case["updated_at"]) == (
            CASE,
            "open",
            "care_coordination",
            at(6),
        )
        assert case["intakes"] == [
            {
                "id": INTAKE,
                "submitted_at": at(6),
                "amended_at": None,
                "form": "medical_intake",
                "form_version": 1,
                "policy_version": "1",
                "event_id": uid(1006),
                "medical": TOMBSTONE,
                "insurance": None,
            }
        ]

    def test_work_on_a_case(self):
        log = Log()
        log.add("CaseOpened", CASE, [ANNA], SERVICE, {"kind": "second_opinion", "engagement": 1}, case=CASE)
        log.add("CaseAssigned", CASE, [ANNA], CLERK, {"assignee": "c1"}, case=CASE)
        title = {"title": part(ANNA, "medical", MEDICAL_SCOPE)}
        task = {"task_id": uid(96), "due": at(50), "assignee": "c1"}
        log.add("TaskAdded", CASE, [ANNA], CLERK, task, title, CASE)
        log.add("TaskCompleted", CASE, [ANNA], CLERK, {"task_id": uid(96)}, case=CASE)
        intake = {"intake_id": INTAKE, "form": "medical_intake", "form_version": 1, "notice_version": "1"}
        log.add(
            "IntakeSubmitted", CASE, [ANNA], SERVICE, intake, {"medical": part(ANNA, "medical", MEDICAL_SCOPE)}, CASE
        )
        log.add("IntakeAmended", CASE, [ANNA], SERVICE, intake, {"medical": part(ANNA, "medical", uid(104))}, CASE)
        log.add("CaseClosed", CASE, [ANNA], CLERK, {"reason": "completed"}, case=CASE)

        (case,) = replay_anna(log=log)["state"]["cases"]

        assert (case["assignee"], case["state"]) == ("c1", "closed")
        assert case["closed"] == {"at": at(7), "reason": "completed", "remark": None}
        assert (case["tasks"][0]["due"], case["tasks"][0]["done_at"]) == (at(50), at(4))
        assert case["intakes"][0]["amended_at"] == at(6)
        assert case["intakes"][0]["medical"] == {"sealed": {"category": "medical", "scope_id": uid(104)}}


class TestCase:
    def test_only_this_case(self):
        found = replay_anna(case_id=person(CASE))

        assert [e["position"] for e in found["history"]] == [4, 6, 10, 11, 12]
        assert [d["id"] for d in found["state"]["disclosures"]] == [DISCLOSURE]
        assert found["state"]["disclosures"][0]["allowed_by"]["consent"]["state"] == "granted"

    def test_whose_case(self):
        assert find_subject(story().records(), person(OTHER_CASE)) == person(BERT)

    def test_nobodys(self):
        with pytest.raises(NotFound):
            find_subject(story().records(), person(uid(11)))
        with pytest.raises(NotFound):
            replay_anna(case_id=person(OTHER_CASE))
        with pytest.raises(NotFound):
            replay(story().records(), person(uid(3)))


def test_same_log_same_bytes():
    first = json.dumps(replay_anna("12"))
    random.seed(1)

    assert json.dumps(replay_anna("12")) == first
