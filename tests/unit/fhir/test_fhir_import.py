"""Whole files to the bodies that are published: kinds of Bundles, order, versions, limits, what is reported."""

from __future__ import annotations

import json
import random

import pytest
from carebundle import generate_cohort, to_json, to_ndjson
from fhir_bundles import bundle, condition, histories, patient, read
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.schemas.casework import MedicalIntakeSchema
from application.schemas.loading import load
from application.schemas.people import RegisterSubjectSchema
from cli.fhir import gather, intake
from cli.fhir.reading import FhirFiles
from cli.fhir.report import Report

ORGANIZATION = {"resourceType": "Organization", "id": "o1", "name": "Acme Health"}
MEDICATION = {"resourceType": "Medication", "id": "m1", "code": {"text": "Lisinopril 10 mg"}}

EVERYTHING = [
    patient(mrn="A-1"),
    condition("Asthma", id="c1", onsetDateTime="2010-05"),
    condition("Gout", id="c2", clinicalStatus={"coding": [{"code": "resolved"}]}),
    condition("Refuted", verificationStatus={"coding": [{"code": "refuted"}]}),
    {
        "resourceType": "MedicationRequest",
        "status": "active",
        "subject": {"reference": "Patient/p1"},
        "medicationReference": {"reference": "Medication/m1"},
        "authoredOn": "2024-02-03",
    },
    {
        "resourceType": "MedicationRequest",
        "status": "completed",
        "subject": {"reference": "Patient/p1"},
        "contained": [{"resourceType": "Medication", "id": "in", "code": {"coding": [{"display": "Ibuprofen"}]}}],
        "medicationReference": {"reference": "#in"},
    },
    {
        "resourceType": "AllergyIntolerance",
        "patient": {"reference": "Patient/p1"},
        "code": {"text": "Penicillin"},
        "reaction": [{"manifestation": [{"text": "Hives"}], "severity": "moderate"}],
    },
    {
        "resourceType": "Coverage",
        "status": "active",
        "beneficiary": {"reference": "Patient/p1"},
        "payor": [{"reference": "Organization/o1"}],
        "subscriberId": "S-1",
    },
    {
        "resourceType": "Encounter",
        "status": "finished",
        "subject": {"reference": "Patient/p1"},
        "period": {"start": "2024-05-06T09:00:00Z"},
        "type": [{"text": "Visit"}],
        "reasonReference": [{"reference": "Condition/c1"}],
    },
    {"resourceType": "Encounter", "status": "finished", "subject": {"reference": "Patient/p1"}},
    {"resourceType": "Observation", "subject": {"reference": "Patient/p1"}, "valueString": "secret"},
    ORGANIZATION,
    MEDICATION,
]

REGISTRATION = {
    "identity": {"given_name": "Anna", "family_name": "Heide", "birth_date": "1974-12-25"},
    "language": "en",
    "notice": {"policy_version": "1"},
}
ANSWERS = {
    "reason": "Asthma (Visit, 2024-05-06)",
    "medical_history": [{"condition": "Asthma", "since": "2010-05"}, {"condition": "Gout", "note": "resolved"}],
    "medications": [
        {"name": "Lisinopril 10 mg", "since": "2024-02-03"},
        {"name": "Ibuprofen", "note": "completed"},
    ],
    "allergies": [{"substance": "Penicillin", "reaction": "Hives", "severity": "moderate"}],
    "insurance": {"insurer": "Acme Health", "member_number": "S-1"},
}


def test_everything_of_one_person(tmp_path):
    (found,), report = read(tmp_path, bundle(*EVERYTHING))

    assert found.registration == REGISTRATION
    assert found.answers == [ANSWERS]
    assert report.to_json()["resources"] == {
        "AllergyIntolerance": {"read": 1, "not_taken": {}},
        "Condition": {"read": 3, "not_taken": {"refuted": 1}},
        "Coverage": {"read": 1, "not_taken": {}},
        "Encounter": {"read": 2, "not_taken": {"another-visit": 1}},
        "Medication": {"read": 1, "not_taken": {}},
        "MedicationRequest": {"read": 2, "not_taken": {}},
        "Observation": {"read": 1, "not_taken": {"type-not-imported": 1}},
        "Organization": {"read": 1, "not_taken": {}},
        "Patient": {"read": 1, "not_taken": {}},
    }
    assert report.places == [{"file": 1, "index": 3, "resource": "Condition", "reason": "refuted"}]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(len(EVERYTHING))), cut=st.integers(0, len(EVERYTHING)), loose=st.booleans())
def test_order_and_shape_make_no_difference(tmp_path, order, cut, loose):
    """Any order of entries, in a Bundle or in two NDJSON files, gives the same bodies."""
    resources = [EVERYTHING[n] for n in order]
    files = [resources[:cut] or [ORGANIZATION], resources[cut:] or [ORGANIZATION]] if loose else [bundle(*resources)]

    (found,), _ = read(tmp_path, *files)

    assert (found.registration, found.answers) == (REGISTRATION, [ANSWERS])


@pytest.mark.parametrize(
    "kind", ["collection", "transaction", "batch", "searchset", "document", "message", "transaction-response"]
)
def test_kinds_of_bundles(tmp_path, kind):
    made = bundle({"resourceType": "Composition"}, patient(), condition("Asthma"), kind=kind)
    made["entry"].append({"search": {"mode": "outcome"}, "resource": {"resourceType": "OperationOutcome"}})
    made["entry"].append({"request": {"method": "GET", "url": "Patient/p1"}})

    imports, report = read(tmp_path, made)

    assert histories(imports) == {"Heide": ["Asthma"]}
    assert report.complete


class TestHistory:
    def entry(self, resource, updated=None):
        meta = {"meta": {"lastUpdated": updated}} if updated else {}
        return {
            "fullUrl": f"https://h.test/{resource['resourceType']}/{resource['id']}",
            "resource": {**resource, **meta},
        }

    def deletion(self, url, modified=None):
        return {"request": {"method": "DELETE", "url": url}, "response": {"lastModified": modified} if modified else {}}

    def read(self, tmp_path, *entries, kind="history"):
        imports, report = read(tmp_path, {"resourceType": "Bundle", "type": kind, "entry": list(entries)})
        return histories(imports), {r: n for (t, r), n in report.not_taken.items() if t == "Condition"}

    def test_newest_version_by_order(self, tmp_path):
        entries = [self.entry(patient()), self.entry(condition("New", id="c")), self.entry(condition("Old", id="c"))]

        assert self.read(tmp_path, *entries) == ({"Heide": ["New"]}, {"older-version": 1})

    def test_newest_version_by_time_goes_before_order(self, tmp_path):
        old = self.entry(condition("Old", id="c"), "2023-01-01T00:00:00Z")
        new = self.entry(condition("New", id="c"), "2024-01-01T00:00:00Z")

        assert self.read(tmp_path, old, self.entry(patient()), new)[0] == {"Heide": ["New"]}

    def test_deleted(self, tmp_path):
        entries = [self.entry(patient()), self.deletion("Condition/c"), self.entry(condition("Gone", id="c"))]

        assert self.read(tmp_path, *entries) == ({"Heide": []}, {"deleted": 1})

    def test_brought_back_after_deletion(self, tmp_path):
        entries = [
            self.entry(patient()),
            self.entry(condition("Back", id="c"), "2024-03-01T00:00:00Z"),
            self.deletion("https://h.test/Condition/c/_history/2", "2024-02-01T00:00:00Z"),
            self.entry(condition("Gone", id="c"), "2024-01-01T00:00:00Z"),
        ]

        found, not_taken = self.read(tmp_path, *entries)

        assert found == {"Heide": ["Back"]}
        assert not_taken == {"older-version": 1}

    def test_deleted_patient(self, tmp_path):
        entries = [self.deletion("Patient/p1"), self.entry(patient()), self.entry(condition("Asthma", id="c"))]

        assert self.read(tmp_path, *entries) == ({}, {"patient-deleted": 1})

    def test_deletion_asked_for_in_a_transaction_is_not_carried_out(self, tmp_path):
        entries = [self.entry(patient()), self.entry(condition("Asthma", id="c")), self.deletion("Condition/c")]

        assert self.read(tmp_path, *entries, kind="transaction") == ({"Heide": ["Asthma"]}, {"delete-request": 1})


class TestVersions:
    def test_of_one_url_in_two_files_the_later_counts(self, tmp_path):
        def file(name, updated):
            entry = ("https://h.test/Condition/c", condition(name, id="c", meta={"lastUpdated": updated}))
            return bundle(("https://h.test/Patient/p1", patient()), entry)

        imports, _ = read(tmp_path, file("New", "2024-02-01T00:00:00Z"), file("Old", "2024-01-01T00:00:00Z"))

        assert histories(imports) == {"Heide": ["New"]}

    def test_same_short_id_in_two_files_is_two_conditions(self, tmp_path):
        first = bundle(patient(mrn="A-1"), condition("Asthma", id="1"))
        second = bundle(patient(mrn="A-1"), condition("Gout", id="1"))

        imports, _ = read(tmp_path, first, second)

        assert sorted(histories(imports)["Heide"]) == ["Asthma", "Gout"]


class TestLimits:
    def test_many_entries_become_several_intakes(self, tmp_path, monkeypatch):
        monkeypatch.setattr(intake, "MOST_ENTRIES", 4)
        names = [f"Condition {n:02}" for n in range(10)]

        (found,), _ = read(tmp_path, bundle(patient(), *map(condition, names)))

        taken = [[c["condition"] for c in answers["medical_history"]] for answers in found.answers]
        assert [len(part) for part in taken] == [4, 4, 2]
        assert [name for part in taken for name in part] == names

    def test_long_texts_become_several_intakes(self, tmp_path):
        many = [condition(f"Condition {n:03}", note=[{"text": "word " * 370}]) for n in range(120)]

        (found,), _ = read(tmp_path, bundle(patient(), *many))

        assert len(found.answers) == 3
        assert all(len(json.dumps(answers)) < 110_000 for answers in found.answers)
        assert sum(len(answers["medical_history"]) for answers in found.answers) == 120

    def test_every_insurance_has_an_intake(self, tmp_path):
        coverages = [
            {
                "resourceType": "Coverage",
                "beneficiary": {"reference": "Patient/p1"},
                "payor": [{"display": name}],
                "order": order,
            }
            for order, name in ((2, "Second"), (1, "First"))
        ]

        (found,), _ = read(tmp_path, bundle(patient(), condition("Asthma"), *coverages))

        assert [a["insurance"]["insurer"] for a in found.answers] == ["First", "Second"]
        assert [a["medical_history"] for a in found.answers] == [[{"condition": "Asthma"}], []]

    def test_repeated_orders_are_put_together(self, tmp_path):
        def order(day):
            return {
                "resourceType": "MedicationRequest",
                "status": "active",
                "subject": {"reference": "Patient/p1"},
                "medicationCodeableConcept": {"text": "Metformin"},
                "authoredOn": day,
            }

        (found,), _ = read(tmp_path, bundle(patient(), *map(order, ["2023-01-01", "2021-01-01", "2022-01-01"])))

        expected = {"name": "Metformin", "since": "2021-01-01", "note": "ordered 3 times, last 2023-01-01"}
        assert found.answers[0]["medications"] == [expected]

    def test_people_spread_over_the_file_are_collected_in_turns(self, tmp_path, monkeypatch):
        """With room for few at a time, the files are read more often and the result is the same."""
        patients = [patient(f"p{n}", f"Name {n}") for n in range(9)]
        conditions = [condition(f"Condition {n}", f"Patient/p{n}") for n in range(9)]
        refused = condition("x", "Patient/nobody")
        whole, _ = read(tmp_path, [*patients, *conditions, refused])

        monkeypatch.setattr(gather, "MOST_KEPT", 4)
        parts, report = read(tmp_path, [*patients, *conditions, refused])

        assert histories(parts) == histories(whole) == {f"Name {n}": [f"Condition {n}"] for n in range(9)}
        assert report.read["Patient"] == 9
        assert report.not_taken["Condition", "patient-missing"] == 1


class TestReports:
    def test_the_dead_are_taken_and_it_is_said(self, tmp_path):
        (found,), _ = read(tmp_path, bundle(patient(deceasedDateTime="2023-04-05T01:00:00Z"), condition("Asthma")))

        assert found.answers[0]["medical_history"] == [
            {"condition": "Deceased", "since": "2023-04-05"},
            {"condition": "Asthma"},
        ]

    def test_nothing_but_a_patient(self, tmp_path):
        (found,), _ = read(tmp_path, patient())

        assert found.answers == [
            {"reason": "Imported record", "medical_history": [], "medications": [], "allergies": []}
        ]

    def test_nothing_of_the_content_is_repeated(self, tmp_path):
        marker = "zq-marker"
        entries = [
            {"resourceType": f"{marker} type"},
            {"resourceType": "Condition", "id": marker, "subject": {"reference": f"Patient/{marker}"}},
            {"resourceType": "Condition", "subject": {"reference": "Patient/p1"}, "note": marker},
            {"resourceType": 5, "x": marker},
            patient(birthDate=marker, telecom=[{"system": "phone", "value": marker}]),
        ]
        made = bundle(*entries)
        made["entry"].append({"fullUrl": marker, "request": {"method": "DELETE", "url": f"{marker}/1"}})

        _, report = read(tmp_path, made, '{"resourceType": "' + marker)

        written = json.dumps(report.to_json())
        assert marker not in written
        assert {(p["file"], p["index"], p["resource"], p["reason"]) for p in report.places} == {
            (1, 1, "Condition", "patient-missing"),
            (1, 2, "Condition", "no-code"),
            (1, 5, "(no type)", "delete-request"),
            (2, 0, "(file)", "malformed-json"),
        }
        assert report.to_json()["resources"]["(unknown type)"]["read"] == 1
        assert not report.complete

    def test_nothing_is_taken_of_a_file_that_breaks_off(self, tmp_path):
        broken = json.dumps(bundle(patient("2", "Broken"), condition("Asthma", "Patient/2")))[:-10]

        imports, report = read(tmp_path, bundle(patient()), broken)

        assert histories(imports) == {"Heide": []}
        assert not report.complete


class TestCarebundle:
    def test_every_generated_person_is_accepted_by_the_service(self, tmp_path):
        """Against the service's own schemas, and against the generated resources read without our code."""
        cohort = [json.loads(to_json(b)) for b in generate_cohort(count=8, seed=5)]

        imports, report = read(tmp_path, *cohort)

        expected = {}
        for one in cohort:
            resources = [entry["resource"] for entry in one["entry"]]
            name = next(r for r in resources if r["resourceType"] == "Patient")["name"][0]
            conditions = {r["code"]["text"] for r in resources if r["resourceType"] == "Condition"}
            expected[f"{name['given'][0]} {name['family']}", resources[0]["birthDate"]] = conditions
        found = {}
        for one in imports:
            load(RegisterSubjectSchema, one.registration)
            identity = one.registration["identity"]
            load(MedicalIntakeSchema, one.answers[0])
            names = {c["condition"] for c in one.answers[0]["medical_history"]}
            found[f"{identity['given_name']} {identity['family_name']}", identity["birth_date"]] = names
        assert found == expected
        assert report.complete

    def test_bulk_export_and_bundles_are_the_same_people(self, tmp_path):
        cohort = generate_cohort(count=4, seed=6)
        files = list(to_ndjson(cohort).values())
        random.Random(1).shuffle(files)

        bulk, _ = read(tmp_path, *files)
        bundles, _ = read(tmp_path, *map(to_json, cohort))

        def by_identity(imports):
            return {i.identity: (i.registration, i.answers) for i in imports}

        assert by_identity(bulk) == by_identity(bundles)


def test_reading_is_watched(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(bundle(patient())))
    seen = []

    files = FhirFiles.open([path], lambda file, size: seen.append((file, size)))
    list(files.imports("en", "1", Report()))

    assert (1, path.stat().st_size) in seen
