"""Replay up to a moment: the state of then, with the tombstones of now."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from replay_log import ANNA, CONSENT, RECIPIENT, SERVICE, TOMBSTONE, Log, part, person, replay_anna, story, uid

from audit.as_of import AsOf
from audit.replay import replay
from domain.errors import InvalidInput


class TestAsOf:
    @pytest.mark.parametrize("as_of", ["13", "2026-03-01T10:13:30Z", "2026-03-01T12:13:00+02:00"])
    def test_before_the_erasure_the_state_of_then_with_the_tombstones_of_now(self, as_of):
        found = replay_anna(as_of)

        assert found["as_of"]["position"] == 13
        assert [e["position"] for e in found["history"]][-1] == 13
        assert found["state"]["subject"]["state"] == "registered"
        assert found["state"]["subject"]["identity"] == TOMBSTONE
        assert found["state"]["requests"] == found["state"]["erasures"] == []

    @pytest.mark.parametrize(("as_of", "state"), [("9", "granted"), ("13", "granted"), ("14", "expired")])
    def test_consent_runs_out_though_nothing_notes_it(self, as_of, state):
        assert [c["state"] for c in replay_anna(as_of)["state"]["consents"]] == [state]

    def test_time_after_the_end_of_the_log_counts_for_validity(self):
        log = story()

        found = replay(log.records(upto=9), person(ANNA), as_of=AsOf(time=datetime(2026, 3, 1, 11, tzinfo=UTC)))

        assert found["as_of"] == {"position": 9, "time": "2026-03-01T11:00:00.000000Z"}
        assert found["state"]["consents"][0]["state"] == "expired"

    def test_withdrawn(self):
        log = Log()
        terms = {
            "consent_id": CONSENT,
            "consent_purpose": "legal",
            "recipient_ids": [RECIPIENT],
            "categories": ["identity"],
            "notice_version": "1",
            "language": "en",
            "method": "paper",
            "valid_until": None,
        }
        log.add("ConsentRequested", ANNA, [ANNA], SERVICE, terms)
        log.add("ConsentGranted", ANNA, [ANNA], SERVICE, terms)
        reason = {"reason": part(ANNA, "correspondence", uid(105))}
        log.add("ConsentWithdrawn", ANNA, [ANNA], SERVICE, {"consent_id": CONSENT}, reason)

        states = [replay_anna(str(n), log)["state"]["consents"][0]["state"] for n in (1, 2, 3)]

        assert states == ["asked", "granted", "withdrawn"]
        assert replay_anna(log=log)["state"]["consents"][0]["reason"] == {
            "sealed": {"category": "correspondence", "scope_id": uid(105)}
        }

    def test_before_everything(self):
        found = replay_anna("0")

        assert found["as_of"] == {"position": 0, "time": None}
        assert (found["history"], found["state"]["subject"]) == ([], None)

    def test_a_time_is_one_place_in_the_log_though_clocks_differ(self):
        log = Log()
        for minute in (1, 3, 2, 4):
            log.add("NoticeServed", ANNA, [ANNA], SERVICE, {"notice_version": "1", "language": "en"}, minute=minute)

        assert [e["position"] for e in replay_anna("2026-03-01T10:02:00Z", log)["history"]] == [1, 2, 3]

    @pytest.mark.parametrize(
        "text",
        ["", "-1", "1.5", "yesterday", "2026-03-01", "2026-03-01T10:00:00", "9" * 19, "0001-01-01T00:00:00+23:00"],
    )
    def test_what_is_no_moment(self, text):
        with pytest.raises(InvalidInput) as refused:
            AsOf.parse(text)

        assert refused.value.problems[0].field == "as_of"
