"""Who is one person, whatever the files: references in every form, duplicates, mergers, contradictions."""

from __future__ import annotations

import gzip
import json

import pytest
from fhir_bundles import MRN, bundle, condition, histories, patient, read

URN_1 = "urn:uuid:11111111-1111-4111-8111-111111111111"
URN_2 = "urn:uuid:22222222-2222-4222-8222-222222222222"
BASE = "https://fhir.hospital.test/r4"


def reasons(report, type_="Condition"):
    return {reason: n for (t, reason), n in report.not_taken.items() if t == type_}


class TestReferences:
    @pytest.mark.parametrize(
        ("full_url", "reference"),
        [
            (None, {"reference": "Patient/p1"}),
            (None, {"reference": "Patient/p1/_history/3"}),
            (None, {"reference": f"{BASE}/Patient/p1"}),
            (None, {"reference": "p1", "type": "Patient"}),
            (None, {"identifier": {"system": MRN, "value": "A-1"}}),
            (None, {"reference": f"Patient?identifier={MRN}|A-1"}),
            (URN_1, {"reference": URN_1}),
            (URN_1, {"reference": URN_1.upper()}),
            (URN_1, {"reference": "Patient/p1"}),
            (URN_1, {"reference": f"Patient/{URN_1[9:]}"}),
            (f"{BASE}/Patient/p1", {"reference": "Patient/p1"}),
            (f"{BASE}/Patient/p1", {"reference": f"{BASE}/Patient/p1"}),
            (f"{BASE}/Patient/p1/_history/2", {"reference": f"{BASE}/Patient/p1/_history/7"}),
            (f"{BASE}/Patient/p1", {"reference": "Patient/unknown", "identifier": {"system": MRN, "value": "A-1"}}),
        ],
    )
    @pytest.mark.parametrize("condition_first", [True, False])
    def test_every_form_leads_to_the_patient(self, tmp_path, full_url, reference, condition_first):
        entries = [(full_url, patient(mrn="A-1")), (URN_2, {**condition("Asthma"), "subject": reference})]
        entries.append((None, patient("p2", "Other", mrn="B-2")))

        imports, report = read(tmp_path, bundle(*(reversed(entries) if condition_first else entries)))

        assert histories(imports) == {"Heide": ["Asthma"], "Other": []}
        assert report.complete

    def test_relative_to_the_base_of_its_own_entry(self, tmp_path):
        other = "https://other.test/fhir"
        entries = [
            (f"{BASE}/Patient/1", patient("1", "Here")),
            (f"{other}/Patient/1", patient("1", "There")),
            (f"{BASE}/Condition/1", condition("Asthma", "Patient/1")),
            (f"{other}/Condition/1", condition("Gout", "Patient/1")),
        ]

        imports, _ = read(tmp_path, bundle(*entries))

        assert histories(imports) == {"Here": ["Asthma"], "There": ["Gout"]}

    def test_same_id_in_two_bundles_is_two_people(self, tmp_path):
        first = bundle(patient("1", "Heide"), condition("Asthma", "Patient/1"))
        second = bundle(patient("1", "Other"), condition("Gout", "Patient/1"))

        imports, _ = read(tmp_path, first, second)

        assert histories(imports) == {"Heide": ["Asthma"], "Other": ["Gout"]}

    def test_a_short_id_never_reaches_into_another_bundle(self, tmp_path):
        imports, report = read(tmp_path, bundle(patient("1")), bundle(condition("Gout", "Patient/1")))

        assert histories(imports) == {"Heide": []}
        assert reasons(report) == {"patient-missing": 1}

    def test_a_uuid_does(self, tmp_path):
        uuid = URN_1[9:]

        imports, _ = read(tmp_path, bundle(condition("Gout", f"Patient/{uuid}")), bundle(patient(uuid)))

        assert histories(imports) == {"Heide": ["Gout"]}

    def test_loose_resources_of_all_files_are_one_export(self, tmp_path):
        conditions = [condition("Asthma", "Patient/1"), condition("Gout", "Patient/2")]
        patients = [patient("1"), patient("2", "Other")]

        imports, _ = read(tmp_path, conditions, gzip.compress("\n".join(map(json.dumps, patients)).encode()))

        assert histories(imports) == {"Heide": ["Asthma"], "Other": ["Gout"]}

    def test_two_exports_with_the_same_ids_are_not_mixed(self, tmp_path):
        first = [patient("1"), condition("Asthma", "Patient/1")]
        second = [patient("1", "Other"), condition("Gout", "Patient/1")]

        imports, report = read(tmp_path, first, second, [condition("Whose?", "Patient/1")])

        assert histories(imports) == {"Heide": ["Asthma"], "Other": ["Gout"]}
        assert reasons(report) == {"patient-ambiguous": 1}

    def test_contained_patient(self, tmp_path):
        holder = condition("Asthma", "#p1", contained=[patient("p1")])

        imports, report = read(tmp_path, bundle(holder, condition("Gout", "#p1")))

        assert histories(imports) == {"Heide": ["Asthma"]}
        assert reasons(report) == {"patient-missing": 1}

    def test_contained_patient_with_an_identifier_is_the_same_person(self, tmp_path):
        holder = condition("Asthma", "#x", contained=[patient("x", mrn="A-1")])

        imports, _ = read(tmp_path, bundle(holder, patient("p1", mrn="A-1"), condition("Gout")))

        assert {k: sorted(v) for k, v in histories(imports).items()} == {"Heide": ["Asthma", "Gout"]}

    @pytest.mark.parametrize(
        ("subject", "reason"),
        [
            ({"reference": "Patient/nobody"}, "patient-missing"),
            ({"reference": "Group/g1"}, "subject-not-a-patient"),
            ({"display": "Anna Heide"}, "no-patient-reference"),
            (None, "no-patient-reference"),
            ("Patient/p1", "no-patient-reference"),
        ],
    )
    def test_no_patient(self, tmp_path, subject, reason):
        _, report = read(tmp_path, bundle(patient(), {**condition("Asthma"), "subject": subject}))

        assert reasons(report) == {reason: 1}
        assert report.places == [{"file": 1, "index": 1, "resource": "Condition", "reason": reason}]

    def test_encounters_with_the_same_id_belong_to_their_own_subjects(self, tmp_path):
        def visit(subject, reason):
            return {
                "resourceType": "Encounter",
                "id": "e1",
                "subject": {"reference": subject},
                "reasonCode": [{"text": reason}],
            }

        first = bundle(patient("1"), visit("Patient/1", "Cough"))
        second = bundle(patient("2", "Other"), visit("Patient/2", "Rash"))

        imports, _ = read(tmp_path, first, second)

        assert [i.answers[0]["reason"] for i in imports] == ["Cough", "Rash"]


class TestOnePerson:
    def test_same_identifier_in_several_files(self, tmp_path):
        first = bundle(patient("1", mrn="A-1"), condition("Asthma", "Patient/1"))
        second = bundle(patient("77", mrn="A-1"), condition("Gout", "Patient/77"))

        imports, report = read(tmp_path, first, second)

        assert {k: sorted(v) for k, v in histories(imports).items()} == {"Heide": ["Asthma", "Gout"]}
        assert imports[0].identity == ("identifier", MRN, "A-1")
        assert report.people["found"] == 1

    def test_identity_does_not_depend_on_file_or_url(self, tmp_path):
        alone, _ = read(tmp_path, bundle((URN_1, patient("1", mrn="A-1"))))
        among, _ = read(tmp_path, bundle(patient("9", "Other", mrn="B-2")), [patient("5", mrn="A-1")])

        assert alone[0].identity == among[1].identity

    def test_the_same_file_twice(self, tmp_path):
        file = bundle(patient(), condition("Asthma"))

        imports, _ = read(tmp_path, file, file)

        assert histories(imports) == {"Heide": ["Asthma"]}

    def test_the_latest_version_of_the_record_counts(self, tmp_path):
        old = patient("1", "Before", mrn="A-1", meta={"lastUpdated": "2020-01-01T00:00:00Z"})
        new = patient("1", "After", mrn="A-1", meta={"lastUpdated": "2024-01-01T00:00:00+02:00"})

        imports, _ = read(tmp_path, bundle(new), bundle(old))

        assert [i.registration["identity"]["family_name"] for i in imports] == ["After"]

    def test_shared_family_identifiers_join_nobody(self, tmp_path):
        member = {"system": "https://insurer.test", "value": "F-1", "type": {"coding": [{"code": "MB"}]}}
        entries = [
            patient("1", identifier=[member]),
            patient("2", "Heide", "Bert", identifier=[member], birthDate="2001-01-01"),
        ]

        imports, _ = read(tmp_path, bundle(*entries))

        assert len(imports) == 2

    def test_contradicting_records_under_one_identifier_are_refused(self, tmp_path):
        second = patient("2", "Other", "Bert", mrn="A-1", birthDate="2001-01-01")

        imports, report = read(tmp_path, bundle(patient("1", mrn="A-1"), condition("Asthma", "Patient/1"), second))

        assert imports == []
        assert reasons(report, "Patient") == {"identity-conflict": 2}
        assert reasons(report) == {"identity-conflict": 1}
        assert (report.people["refused"], report.complete) == (1, False)

    def test_a_new_name_alone_is_no_contradiction(self, tmp_path):
        imports, _ = read(tmp_path, bundle(patient("1", mrn="A-1"), patient("2", "Married", mrn="A-1")))

        assert len(imports) == 1

    def test_no_identifier_no_id(self, tmp_path):
        loose = patient()
        del loose["id"]

        imports, _ = read(tmp_path, bundle((URN_1, loose), condition("Asthma", URN_1)))

        assert histories(imports) == {"Heide": ["Asthma"]}

    def test_same_fixture_urn_in_two_files_is_two_people(self, tmp_path):
        first = bundle((URN_1, patient("1")), condition("Asthma", URN_1))
        second = bundle((URN_1, patient("1", "Other")), condition("Gout", URN_1))

        imports, _ = read(tmp_path, first, second)

        assert histories(imports) == {"Heide": ["Asthma"], "Other": ["Gout"]}
        assert imports[0].identity != imports[1].identity


class TestMerged:
    def link(self, kind, target):
        return [{"type": kind, "other": {"reference": target}}]

    def test_replaced_by(self, tmp_path):
        old = patient("1", "Before", link=self.link("replaced-by", "Patient/2"), active=False)
        entries = [old, patient("2", "After"), condition("Asthma", "Patient/1"), condition("Gout", "Patient/2")]

        imports, report = read(tmp_path, bundle(*entries))

        assert {k: sorted(v) for k, v in histories(imports).items()} == {"After": ["Asthma", "Gout"]}
        assert reasons(report, "Patient") == {"merged": 1}
        assert report.complete

    def test_replaces(self, tmp_path):
        new = patient("2", "After", link=self.link("replaces", "Patient/1"))

        imports, _ = read(tmp_path, bundle(new, patient("1", "Before"), condition("Asthma", "Patient/1")))

        assert histories(imports) == {"After": ["Asthma"]}

    def test_chain_across_files(self, tmp_path):
        first = [patient("1", "A", link=self.link("replaced-by", "Patient/2")), condition("Asthma", "Patient/1")]
        second = [patient("2", "B", link=self.link("replaced-by", "Patient/3"))]

        imports, _ = read(tmp_path, first, second, [patient("3", "C")])

        assert histories(imports) == {"C": ["Asthma"]}

    def test_circle(self, tmp_path):
        first = patient("1", "A", link=self.link("replaced-by", "Patient/2"))
        second = patient("2", "B", link=self.link("replaced-by", "Patient/1"))

        imports, report = read(tmp_path, bundle(first, second, condition("Asthma", "Patient/1")))

        assert imports == []
        assert reasons(report, "Patient") == {"merged-in-a-circle": 2}
        assert not report.complete

    def test_survivor_missing(self, tmp_path):
        imports, report = read(tmp_path, bundle(patient("1", link=self.link("replaced-by", "Patient/2"))))

        assert imports == []
        assert reasons(report, "Patient") == {"replaced-by-missing": 1}
        assert not report.complete

    def test_seealso_joins_nobody(self, tmp_path):
        entries = [patient("1", "A", link=self.link("seealso", "Patient/2")), patient("2", "B")]

        assert len(read(tmp_path, bundle(*entries))[0]) == 2
