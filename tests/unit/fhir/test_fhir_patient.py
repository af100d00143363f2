"""Patients as registrations: names, contacts, dates and languages in all their forms. Expected values are written by
hand."""

from __future__ import annotations

import pytest

from cli.fhir.patient import deceased, described, local_identifiers, map_patient, strong_identifiers

ABSENT = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}


def identity(**patient):
    return map_patient({"resourceType": "Patient", **patient}).identity


class TestName:
    def test_given_and_family(self):
        name = [{"given": ["Anna", "Maria"], "family": "von der Heide", "prefix": ["Dr."]}]

        assert identity(name=name) == {"given_name": "Anna Maria", "family_name": "von der Heide"}

    def test_official_goes_before_maiden_and_nickname(self):
        name = [
            {"use": "maiden", "family": "Alt", "given": ["Anna"]},
            {"use": "nickname", "given": ["Anni"]},
            {"use": "official", "family": "Neu", "given": ["Anna"]},
        ]

        assert identity(name=name) == {"given_name": "Anna", "family_name": "Neu"}

    def test_name_that_has_ended_gives_way(self):
        name = [
            {"use": "official", "family": "Before", "period": {"end": "2012-05-01"}},
            {"use": "usual", "family": "Now"},
        ]

        assert identity(name=name) == {"family_name": "Now"}

    def test_of_ended_names_the_last(self):
        name = [{"family": "First", "period": {"end": "1999"}}, {"family": "Last", "period": {"end": "2012-05-01"}}]

        assert identity(name=name) == {"family_name": "Last"}

    def test_maiden_name_is_better_than_none(self):
        assert identity(name=[{"use": "maiden", "family": "Alt"}]) == {"family_name": "Alt"}

    def test_text_only_is_not_taken_apart(self):
        assert identity(name=[{"text": "Mulyani  Sri"}]) == {"family_name": "Mulyani Sri"}

    def test_one_name_only(self):
        assert identity(name=[{"given": ["Suharto"]}]) == {"given_name": "Suharto"}

    @pytest.mark.parametrize(
        "name", [None, [], [ABSENT], [{"family": None, "_family": ABSENT}], "Anna", [{"family": ""}]]
    )
    def test_no_name(self, name):
        assert identity(name=name) == {}

    def test_name_over_100_characters_is_shortened_by_whole_words_and_said(self):
        registration = map_patient({"name": [{"given": ["Wolfeschlegelstein"] * 6, "family": "Heide"}]})

        assert registration.identity["given_name"] == " ".join(["Wolfeschlegelstein"] * 5)
        assert registration.problems == ("name-shortened",)

    def test_name_with_an_unpaired_surrogate_gives_way_to_the_next(self):
        registration = map_patient({"name": [{"family": "Bro\ud800ken"}, {"use": "old", "family": "Whole"}]})

        assert registration.identity == {"family_name": "Whole"}
        assert registration.problems == ("name-not-accepted",)


class TestBirthDate:
    @pytest.mark.parametrize("date", ["1974-12-25", "1974-12", "1974"])
    def test_as_precise_as_given(self, date):
        assert identity(birthDate=date) == {"birth_date": date}

    @pytest.mark.parametrize("patient", [{}, {"_birthDate": ABSENT}, {"birthDate": None, "_birthDate": ABSENT}])
    def test_absent(self, patient):
        registration = map_patient(patient)

        assert registration.identity == {}
        assert registration.problems == ()

    @pytest.mark.parametrize("date", ["25.12.1974", "1974-02-30", "2999-01-01", "0001-01-01", 1974])
    def test_unusable_is_left_out_and_said(self, date):
        registration = map_patient({"birthDate": date})

        assert registration.identity == {}
        assert registration.problems == ("birth-date-not-accepted",)


class TestContact:
    def test_rank_then_use(self):
        telecom = [
            {"system": "phone", "value": "555-0101", "use": "home"},
            {"system": "phone", "value": "555-0102", "use": "mobile"},
            {"system": "phone", "value": "555-0103", "use": "work", "rank": 1},
            {"system": "email", "value": "mailto:a@home.test", "use": "home", "rank": 2},
            {"system": "email", "value": "a@old.test", "use": "old", "rank": 1},
            {"system": "url", "value": "https://a.test"},
        ]

        assert identity(telecom=telecom) == {"phone": "555-0103", "email": "a@home.test"}

    def test_mobile_before_home_before_ended(self):
        telecom = [
            {"system": "phone", "value": "555-0101", "period": {"end": "2020"}, "rank": 1},
            {"system": "sms", "value": "tel:+1-555-0102", "use": "mobile"},
            {"system": "phone", "value": "555-0103", "use": "home"},
        ]

        assert identity(telecom=telecom) == {"phone": "+1-555-0102"}

    def test_next_one_when_the_best_is_not_accepted(self):
        telecom = [{"system": "phone", "value": "ask reception", "rank": 1}, {"system": "phone", "value": "555 0104"}]

        assert identity(telecom=telecom) == {"phone": "555 0104"}

    def test_none_accepted_is_said(self):
        assert map_patient({"telecom": [{"system": "email", "value": "none"}]}).problems == ("email-not-accepted",)

    def test_address(self):
        address = [
            {"use": "work", "line": ["1 Office Park"], "city": "Elsewhere"},
            {
                "use": "home",
                "line": ["12 Rose Lane", None, "Flat 3"],
                "city": "Springfield",
                "state": "MA",
                "postalCode": "01101",
                "country": "US",
            },
        ]

        assert identity(address=address)["address"] == {
            "lines": ["12 Rose Lane", "Flat 3", "MA"],
            "city": "Springfield",
            "postal_code": "01101",
            "country": "US",
        }

    def test_address_of_text_only(self):
        address = [{"use": "old", "city": "Before"}, {"text": "12 Rose Lane\nSpringfield MA 01101"}]

        assert identity(address=address)["address"] == {"lines": ["12 Rose Lane", "Springfield MA 01101"]}

    def test_long_and_many_lines_are_kept_whole(self):
        long = "word " * 50
        found = identity(address=[{"line": [long, "a", "b", "c", "d", "e", "f"]}])["address"]["lines"]

        assert len(found) == 6
        assert all(len(line) <= 200 for line in found)
        assert found[-1] == "d, e, f"
        assert " ".join(found[:2]).replace(" … …", "") == long.strip()

    def test_part_of_an_address_that_is_not_accepted_is_left_out_and_said(self):
        registration = map_patient({"address": [{"city": "Springfield", "postalCode": "0" * 21}]})

        assert registration.identity["address"] == {"lines": [], "city": "Springfield"}
        assert registration.problems == ("address-not-accepted",)


class TestLanguageAndZone:
    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("en-US", "en-US"),
            ("es", "es"),
            ("zh-Hans-CN", "zh-CN"),
            ("spa", "es"),
            ("de_AT", "de-AT"),
            ("xx", None),
            ("", None),
        ],
    )
    def test_language(self, code, expected):
        patient = {"communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": code}]}}]}

        assert map_patient(patient).language == expected

    def test_preferred_language(self):
        languages = [
            {"language": {"coding": [{"code": "en"}]}},
            {"language": {"coding": [{"code": "fr"}]}, "preferred": True},
        ]

        assert map_patient({"communication": languages}).language == "fr"

    def test_time_zone(self):
        extension = {"url": "http://hl7.org/fhir/StructureDefinition/timezone", "valueCode": "America/New_York"}

        assert map_patient({"address": [{"extension": [extension]}]}).time_zone == "America/New_York"
        assert map_patient({"extension": [{**extension, "valueCode": "Mars/Base"}]}).time_zone is None

    def test_body(self):
        body = map_patient({"name": [{"family": "Heide"}]}).body("de", "1")

        assert body == {"identity": {"family_name": "Heide"}, "language": "de", "notice": {"policy_version": "1"}}


@pytest.mark.parametrize(
    ("patient", "expected"),
    [
        ({}, (False, None)),
        ({"deceasedBoolean": False}, (False, None)),
        ({"deceasedBoolean": True}, (True, None)),
        ({"deceasedDateTime": "2020-03-01T05:00:00Z"}, (True, "2020-03-01")),
        ({"deceasedDateTime": "spring"}, (True, None)),
    ],
)
def test_deceased(patient, expected):
    assert deceased(patient) == expected


class TestIdentifiers:
    def test_best_first(self):
        given = [
            {"system": "urn:passport", "value": "P123", "type": {"coding": [{"code": "PPN"}]}},
            {"system": "urn:any", "value": "77-1"},
            {"system": "urn:ssn", "value": "123-45-6789", "type": {"coding": [{"code": "SS"}]}},
            {"system": "urn:mrn", "value": "M-2", "type": {"coding": [{"code": "MR"}]}, "use": "secondary"},
            {"system": "urn:mrn", "value": "M-1", "type": {"coding": [{"code": "MR"}]}},
        ]

        assert [found[1:] for found in strong_identifiers({"identifier": given})] == [
            ("urn:mrn", "M-1"),
            ("urn:ssn", "123-45-6789"),
            ("urn:any", "77-1"),
            ("urn:passport", "P123"),
            ("urn:mrn", "M-2"),
        ]

    @pytest.mark.parametrize(
        "identifier",
        [
            {"value": "77"},
            {"system": "urn:x"},
            {"system": "urn:x", "value": "77", "use": "old"},
            {"system": "urn:x", "value": "77", "use": "temp"},
            {"system": "urn:x", "value": "77-2", "type": {"coding": [{"code": "MB"}]}},
            {"system": "urn:ssn", "value": "***-**-6789"},
            {"system": "urn:ssn", "value": "xxx-xx-6789"},
            {"system": "urn:ssn", "value": "000-00-0000"},
            {"system": "urn:ssn", "value": "unknown"},
            {"system": "urn:x", "_value": ABSENT},
        ],
    )
    def test_what_does_not_identify_one_person(self, identifier):
        assert strong_identifiers({"identifier": [identifier]}) == []

    def test_local(self):
        assert local_identifiers({"identifier": [{"value": "77"}, {"system": "urn:x", "value": "88"}]}) == ["77"]

    def test_described(self):
        patient = {"name": [{"given": ["ANNA"], "family": "Heide"}], "birthDate": "1974-12"}

        assert described(patient) == ("anna heide", "1974-12")
        assert described({}) == ("", "")
