"""Conditions, allergies, medication orders, coverages and encounters as entries. Expected values are written by
hand."""

from __future__ import annotations

import pytest

from cli.fhir.clinical import LeftOut, Taken, map_allergy, map_condition, map_medication
from cli.fhir.coverage import Insurance, in_order, map_coverage
from cli.fhir.encounter import map_encounter, reason_of


def concept(text=None, code=None):
    return {"text": text} if text else {"coding": [{"code": code}]}


def condition(**more):
    return map_condition({"resourceType": "Condition", "code": concept("Asthma"), **more})


def entry(taken):
    assert isinstance(taken, Taken)
    (only,) = taken.entries
    return only


def nothing(_):
    return None


class TestCondition:
    def test_plain(self):
        taken = condition(clinicalStatus=concept(code="active"), verificationStatus=concept(code="confirmed"))

        assert taken == Taken("medical_history", ({"condition": "Asthma"},))

    @pytest.mark.parametrize(
        ("onset", "expected"),
        [
            ({"onsetDateTime": "2019-03-04T10:00:00Z"}, {"since": "2019-03-04"}),
            ({"onsetDateTime": "2019"}, {"since": "2019"}),
            ({"onsetDateTime": "spring 2019"}, {"note": "onset spring 2019"}),
            (
                {"onsetPeriod": {"start": "2018-05", "end": "2019-01-02"}},
                {"since": "2018-05", "note": "onset until 2019-01-02"},
            ),
            ({"onsetAge": {"value": 52, "unit": "years"}}, {"note": "onset at age 52 years"}),
            (
                {"onsetRange": {"low": {"value": 40, "unit": "a"}, "high": {"value": 50, "unit": "a"}}},
                {"note": "onset 40 a to 50 a"},
            ),
            ({"onsetString": "in childhood"}, {"note": "onset in childhood"}),
            ({}, {}),
            ({"onsetDateTime": 2019, "onsetAge": "52"}, {}),
        ],
    )
    def test_onset(self, onset, expected):
        assert entry(condition(**onset)) == {"condition": "Asthma", **expected}

    @pytest.mark.parametrize(
        ("abatement", "note"),
        [
            ({"abatementDateTime": "2020-01-02"}, "resolved 2020-01-02"),
            ({"abatementBoolean": True}, "resolved; abated yes"),
            ({"abatementString": "after surgery"}, "resolved; abated after surgery"),
            ({}, "resolved"),
        ],
    )
    def test_resolved(self, abatement, note):
        assert entry(condition(clinicalStatus=concept(code="resolved"), **abatement))["note"] == note

    def test_everything_else_is_in_the_note(self):
        found = condition(
            verificationStatus=concept(code="provisional"),
            severity=concept("Severe"),
            bodySite=[concept("Left lung"), concept("Right lung")],
            note=[{"text": "Worse in\nwinter"}, {"text": None}],
        )

        assert entry(found)["note"] == "provisional; severity: Severe; site: Left lung, Right lung; Worse in winter"

    @pytest.mark.parametrize("word", ["entered-in-error", "refuted"])
    def test_withdrawn(self, word):
        assert condition(verificationStatus=concept(code=word)) == LeftOut(word)

    @pytest.mark.parametrize("code", [None, {}, "Asthma", {"coding": []}, {"extension": [{}]}])
    def test_no_code(self, code):
        assert map_condition({"code": code}) == LeftOut("no-code")

    def test_long_name_goes_on_in_the_note(self):
        name = " ".join(f"word{n:03}" for n in range(60))

        found = entry(map_condition({"code": concept(name)}))

        assert len(found["condition"]) <= 300
        assert found["condition"].removesuffix(" …") + " " + found["note"].removeprefix("… ") == name

    def test_long_note_goes_on_in_further_entries(self):
        words = " ".join(f"word{n:04}" for n in range(500))

        taken = condition(note=[{"text": words}])

        names = [e["condition"] for e in taken.entries]
        notes = [e["note"].removeprefix("… ").removesuffix(" …") for e in taken.entries]
        assert names == ["Asthma", "Asthma (2 of 3)", "Asthma (3 of 3)"]
        assert " ".join(notes) == words
        assert all(len(e["note"]) <= 2000 for e in taken.entries)

    def test_card_number_in_a_note_costs_the_note_and_is_said(self):
        taken = condition(note=[{"text": "paid with 4111 1111 1111 1111"}])

        assert taken == Taken("medical_history", ({"condition": "Asthma"},), ("note-not-accepted",))

    def test_name_that_the_service_refuses(self):
        assert map_condition({"code": concept("Asth\x00ma")}) == LeftOut("text-not-accepted")


class TestAllergy:
    def test_everything(self):
        resource = {
            "code": concept("Penicillin"),
            "clinicalStatus": concept(code="inactive"),
            "verificationStatus": concept(code="confirmed"),
            "criticality": "high",
            "type": "allergy",
            "onsetDateTime": "2001",
            "reaction": [
                {"manifestation": [concept("Hives")], "severity": "mild"},
                {
                    "manifestation": [concept("Anaphylaxis"), concept("Hives")],
                    "severity": "severe",
                    "description": "collapsed",
                },
            ],
            "note": [{"text": "carries a pen"}],
        }

        assert entry(map_allergy(resource)) == {
            "substance": "Penicillin",
            "reaction": "Hives; Anaphylaxis, Hives; collapsed",
            "severity": "severe",
            "note": "inactive; criticality high; allergy; since 2001; carries a pen",
        }

    def test_substance_of_a_reaction_when_there_is_no_code(self):
        assert entry(map_allergy({"reaction": [{"substance": concept("Latex")}]})) == {"substance": "Latex"}

    def test_r5_manifestation(self):
        resource = {"code": concept("Nuts"), "reaction": [{"manifestation": [{"concept": concept("Rash")}]}]}

        assert entry(map_allergy(resource))["reaction"] == "Rash"

    @pytest.mark.parametrize("word", ["entered-in-error", "refuted"])
    def test_withdrawn(self, word):
        assert map_allergy({"code": concept("Nuts"), "verificationStatus": concept(code=word)}) == LeftOut(word)

    def test_no_code(self):
        assert map_allergy({"reaction": [{"manifestation": [concept("Rash")]}]}) == LeftOut("no-code")


class TestMedication:
    def order(self, **more):
        resource = {
            "status": "active",
            "intent": "order",
            "medicationCodeableConcept": concept("Metformin 500 mg"),
            **more,
        }
        return map_medication(resource, nothing)

    def test_plain(self):
        taken = self.order(authoredOn="2024-02-03T10:00:00+01:00", dosageInstruction=[{"text": "1 tablet twice a day"}])

        assert entry(taken) == {"name": "Metformin 500 mg", "dose": "1 tablet twice a day", "since": "2024-02-03"}

    @pytest.mark.parametrize("status", ["entered-in-error", "cancelled", "draft"])
    def test_never_given(self, status):
        assert self.order(status=status) == LeftOut(status)

    def test_proposal_and_prohibition(self):
        assert self.order(intent="proposal") == LeftOut("proposal")
        assert self.order(doNotPerform=True) == LeftOut("do-not-perform")

    @pytest.mark.parametrize("status", ["completed", "stopped", "on-hold", "unknown"])
    def test_other_states_are_said(self, status):
        assert entry(self.order(status=status))["note"] == status

    def test_by_reference(self):
        resource = {"medicationReference": {"reference": "#m", "display": "shown"}}

        assert (
            entry(map_medication(resource, lambda ref: "Lisinopril" if ref["reference"] == "#m" else None))["name"]
            == "Lisinopril"
        )
        assert entry(map_medication(resource, nothing))["name"] == "shown"

    def test_reference_to_nowhere(self):
        assert map_medication({"medicationReference": {"reference": "Medication/9"}}, nothing) == LeftOut("no-code")

    def test_r5_form(self):
        assert entry(map_medication({"medication": {"concept": concept("Aspirin")}}, nothing)) == {"name": "Aspirin"}

    @pytest.mark.parametrize(
        ("dosage", "expected"),
        [
            (
                {
                    "doseAndRate": [{"doseQuantity": {"value": 1, "unit": "tablet"}}],
                    "timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}},
                    "route": concept("oral"),
                },
                "1 tablet, 2 times every day, oral",
            ),
            (
                {
                    "doseAndRate": [
                        {"doseRange": {"low": {"value": 5, "unit": "ml"}, "high": {"value": 10, "unit": "ml"}}}
                    ],
                    "timing": {"repeat": {"frequency": 1, "period": 6.0, "periodUnit": "h"}},
                    "asNeededBoolean": True,
                },
                "5 ml to 10 ml, 1 time every 6 hours, as needed",
            ),
            (
                {"timing": {"code": concept("BID")}, "asNeededCodeableConcept": concept("pain")},
                "BID, as needed for pain",
            ),
            ({"patientInstruction": "with food"}, "with food"),
        ],
    )
    def test_dosage(self, dosage, expected):
        assert entry(self.order(dosageInstruction=[dosage]))["dose"] == expected

    def test_unusable_dosage(self):
        assert "dose" not in entry(
            self.order(
                dosageInstruction=[{"timing": {"repeat": {"frequency": 10**400, "period": 1, "periodUnit": "d"}}}, 5]
            )
        )


class TestCoverage:
    def test_plain(self):
        resource = {
            "status": "active",
            "payor": [{"reference": "Organization/1"}],
            "subscriberId": "S 1",
            "identifier": [{"value": "C1"}],
            "order": 2,
            "period": {"start": "2024-01-01", "end": "2024-12-31"},
        }

        found = map_coverage(resource, lambda ref: "Acme Health" if ref["reference"] == "Organization/1" else None)

        assert found == Insurance(2, "2024-01-01", {"insurer": "Acme Health", "member_number": "S 1"})

    def test_member_number_proper_goes_first(self):
        number = {"type": {"coding": [{"code": "MB"}]}, "value": "M-1"}
        resource = {"payor": [{"display": "Acme"}], "subscriberId": "S-1", "identifier": [{"value": "C1"}, number]}

        assert map_coverage(resource, nothing).body == {"insurer": "Acme", "member_number": "M-1"}

    def test_identifier_where_there_is_nothing_else(self):
        assert (
            map_coverage({"payor": [{"display": "Acme"}], "identifier": [{"value": "C1"}]}, nothing).body[
                "member_number"
            ]
            == "C1"
        )

    def test_no_number(self):
        assert map_coverage({"payor": [{"display": "Acme"}]}, nothing).body == {"insurer": "Acme"}

    def test_plan_where_the_payor_is_unknown(self):
        assert map_coverage(
            {"payor": [{"reference": "Organization/9"}], "type": concept("Medicare")}, nothing
        ).body == {"insurer": "Medicare"}
        assert map_coverage({"class": [{"name": "Gold plan"}]}, nothing).body == {"insurer": "Gold plan"}

    @pytest.mark.parametrize("status", ["entered-in-error", "cancelled", "draft"])
    def test_not_in_force(self, status):
        assert map_coverage({"status": status, "payor": [{"display": "Acme"}]}, nothing) == LeftOut(status)

    def test_self_pay_is_no_insurance(self):
        assert map_coverage({"payor": [{"reference": "Patient/1", "display": "Anna"}]}, nothing) == LeftOut("self-pay")

    def test_no_insurer(self):
        assert map_coverage({"payor": [{"reference": "Organization/9"}]}, nothing) == LeftOut("no-insurer")

    def test_number_that_the_service_refuses(self):
        found = map_coverage({"payor": [{"display": "Acme"}], "subscriberId": "9" * 101}, nothing)

        assert (found.body, found.problems) == ({"insurer": "Acme"}, ("member-number-not-accepted",))

    def test_order(self):
        first = Insurance(1, "2020", {"insurer": "A"})
        newer = Insurance(1, "2024", {"insurer": "B"})
        second = Insurance(2, "2025", {"insurer": "C"})

        assert [i.body["insurer"] for i in in_order([second, first, newer, first])] == ["B", "A", "C"]


def keys(reference):
    return (reference.get("reference", "").encode(),)


class TestEncounter:
    def visit(self, start, **more):
        return map_encounter({"status": "finished", "period": {"start": start}, **more}, keys)

    def test_reason_of_the_latest_whatever_the_offsets(self):
        early = self.visit(
            "2024-01-01T23:00:00-05:00", reasonCode=[concept("Cough"), concept("Fever")], type=[concept("Visit")]
        )
        late = self.visit("2024-01-02T03:30:00Z", reasonCode=[concept("Rash")])

        assert reason_of([late, early], {}) == ("Cough; Fever (Visit, 2024-01-01)", True)

    def test_kind_of_visit_where_no_visit_has_a_reason(self):
        assert reason_of([self.visit("2024", type=[concept("Check-up")]), self.visit("2025-02")], {}) == (
            "Check-up (2024)",
            True,
        )

    def test_earlier_reason_goes_before_later_kind(self):
        visits = [self.visit("2024", reasonCode=[concept("Cough")]), self.visit("2025", type=[concept("Check-up")])]

        assert reason_of(visits, {}) == ("Cough (2024)", True)

    def test_reason_by_reference(self):
        visit = self.visit("2024", reasonReference=[{"reference": "Condition/1"}, {"display": "by display"}])

        assert reason_of([visit], {b"Condition/1": "Asthma"}) == ("Asthma; by display (2024)", True)

    def test_reason_too_long_is_shortened_and_said(self):
        reason, complete = reason_of([self.visit("2024", reasonCode=[concept("word " * 900)])], {})

        assert len(reason) <= 4000
        assert not complete

    def test_nothing_known(self):
        assert reason_of([map_encounter({}, keys)], {}) == ("Imported record", True)
        assert reason_of([], {}) == ("Imported record", True)

    @pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
    def test_left_out(self, status):
        assert map_encounter({"status": status}, keys) == LeftOut(status)

    def test_reason_of_a_class_display(self):
        assert reason_of([map_encounter({"class": {"display": "ambulatory"}}, keys)], {}) == ("ambulatory", True)
