"""Data types as text and dates, whatever stands in their place."""

from __future__ import annotations

import pytest

from cli.fhir.elements import (
    codes,
    comparable_instant,
    concept_text,
    objs,
    partial_date,
    quantity_text,
    span_text,
    text,
    texts,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1974", "1974"),
        ("1974-12", "1974-12"),
        ("1974-12-25", "1974-12-25"),
        ("2015-02-07T13:28:17.239+02:00", "2015-02-07"),
        ("2015-02-07T23:59:59Z", "2015-02-07"),
        ("2023-02-30", None),
        ("2023-13", None),
        ("02/07/2015", None),
        ("20150207", None),
        ("2015-2-7", None),
        ("", None),
        (None, None),
        (1974, None),
    ],
)
def test_partial_date(value, expected):
    assert partial_date(value) == expected


@pytest.mark.parametrize(
    ("concept", "expected"),
    [
        ({"text": " Asthma,\n severe "}, "Asthma, severe"),
        ({"text": "Asthma", "coding": [{"display": "Asthma (disorder)"}]}, "Asthma"),
        ({"coding": [{"code": "1"}, {"display": "Second"}, {"display": "Chosen", "userSelected": True}]}, "Chosen"),
        ({"coding": [{"system": "http://snomed.info/sct", "code": "195967001"}]}, "SNOMED CT 195967001"),
        ({"coding": [{"system": "urn:oid:1.2.3", "code": "X9"}]}, "X9"),
        ({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown"}]}, None),
        ({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"}]}, None),
        ({"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason"}]}, None),
        ({"text": "  ", "coding": []}, None),
        ({"text": 7, "coding": "x"}, None),
        ({"coding": {"display": "Not a list"}}, "Not a list"),
    ],
)
def test_concept_text(concept, expected):
    assert concept_text(concept) == expected


def test_lists_with_holes_for_extensions():
    name = {"given": ["Anna", None, " "], "_given": [None, {"extension": []}, None]}

    assert texts(name, "given") == ["Anna"]


def test_wrong_types_are_nothing():
    assert text({"a": 5}, "a") is None
    assert objs({"a": [1, {"b": 2}, None]}, "a") == [{"b": 2}]
    assert codes({"coding": [{"code": 5}, {"code": "x"}]}) == {"x"}


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ({"value": 52, "unit": "years"}, "52 years"),
        ({"value": 2.5, "code": "mg"}, "2.5 mg"),
        ({"value": 40.0, "unit": "mg", "comparator": "<"}, "<40 mg"),
        ({"value": "52"}, None),
        ({"value": True}, None),
        ({}, None),
    ],
)
def test_quantity(quantity, expected):
    assert quantity_text(quantity) == expected


def test_spans():
    assert span_text("1 mg", "2 mg") == "1 mg to 2 mg"
    assert span_text("2001", None) == "from 2001"
    assert span_text(None, "2001") == "until 2001"
    assert span_text(None, None) is None


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("2024-01-01T23:00:00+02:00", "2024-01-01T22:00:00Z"),
        ("2024-01-01", "2024-01-01T00:00:01Z"),
        ("2023", "2024-01-01T00:00:00Z"),
        ("", "0001-01-01T00:00:00+14:00"),
        ("no time", "9999-12-31T23:59:59-14:00"),
    ],
)
def test_instants_compare_whatever_their_offset(earlier, later):
    assert comparable_instant(earlier) < comparable_instant(later)
