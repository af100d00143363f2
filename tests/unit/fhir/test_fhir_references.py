"""Every legal form of a reference is read; every other points nowhere."""

from __future__ import annotations

import pytest

from cli.fhir.references import Reference, address, is_uuid, parse_reference

UUID_URN = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        ("#p1", Reference(contained="p1")),
        (UUID_URN, Reference(url=UUID_URN)),
        (UUID_URN.upper(), Reference(url=UUID_URN)),
        ("urn:oid:1.2.840.113619", Reference(url="urn:oid:1.2.840.113619")),
        ("Patient/123", Reference(type="Patient", id="123")),
        ("/Patient/123", Reference(type="Patient", id="123")),
        ("Patient/a.b-C9/_history/7", Reference(type="Patient", id="a.b-C9")),
        (
            "https://fhir.h.test:8443/r4/Patient/123/_history/1",
            Reference(
                url="https://fhir.h.test:8443/r4/Patient/123",
                base="https://fhir.h.test:8443/r4",
                type="Patient",
                id="123",
            ),
        ),
        (
            "Patient?identifier=https%3A%2F%2Fh.test%2Fmrn|00%2F7",
            Reference(type="Patient", system="https://h.test/mrn", value="00/7"),
        ),
        ("Organization?identifier=urn:oid:1.2|x", Reference(type="Organization", system="urn:oid:1.2", value="x")),
        ("https://other.test/a-patient", Reference(url="https://other.test/a-patient")),
        ("Patient?name=Smith", Reference()),
        ("123", Reference()),
        ("", Reference()),
    ],
)
def test_literal(literal, expected):
    assert parse_reference({"reference": literal}) == ((expected,) if expected else ())


def test_bare_id_with_a_type():
    assert parse_reference({"reference": "123", "type": "Patient"}) == (Reference(type="Patient", id="123"),)


def test_logical():
    element = {"identifier": {"system": "urn:x", "value": "7"}, "display": "Anna"}

    assert parse_reference(element) == (Reference(system="urn:x", value="7"),)


def test_literal_goes_before_logical():
    element = {"reference": "Patient/1", "identifier": {"system": "urn:x", "value": "7"}}

    assert parse_reference(element) == (Reference(type="Patient", id="1"), Reference(system="urn:x", value="7"))


@pytest.mark.parametrize(
    "element", [{}, {"display": "Anna"}, {"reference": 7}, {"reference": None}, {"identifier": "7"}]
)
def test_nothing_usable(element):
    assert not parse_reference(element)


def test_full_url_reads_like_a_reference():
    assert address(UUID_URN) == Reference(url=UUID_URN)
    assert not address(None)


def test_uuid_ids():
    assert is_uuid("0C3151BD-1cbf-4d64-b04d-cd9187a4c6e0")
    assert not is_uuid("123")
