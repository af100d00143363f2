"""Files of every shape become the same entries, numbered alike, in bounded memory."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from cli.fhir import json_stream
from cli.fhir.documents import BundleEnd, Entry, Reader, Unreadable

ANNA = {"resourceType": "Patient", "id": "a"}
BERT = {"resourceType": "Patient", "id": "b"}


def bundle(*resources, kind="collection", **more):
    return {"resourceType": "Bundle", "type": kind, "entry": [{"resource": r} for r in resources], **more}


def parts_of(tmp_path: Path, *contents: bytes | str):
    reader, found = Reader(), []
    for number, content in enumerate(contents):
        path = tmp_path / f"{number}.json"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        found += reader.read(path)
    return found


def ids(parts):
    return [(p.document, p.resource.get("id")) for p in parts if isinstance(p, Entry)]


class TestShapes:
    @pytest.mark.parametrize("indent", [None, 1, 4])
    def test_bundle(self, tmp_path, indent):
        parts = parts_of(tmp_path, json.dumps(bundle(ANNA, BERT), indent=indent))

        assert ids(parts) == [(1, "a"), (1, "b")]
        assert parts[-1] == BundleEnd(1, "collection")

    def test_bundle_with_its_keys_in_another_order(self, tmp_path):
        first = {"id": "a", "resourceType": "Patient"}
        text = json.dumps({"entry": [{"resource": first}], "type": "history", "resourceType": "Bundle"})

        parts = parts_of(tmp_path, text)

        assert ids(parts) == [(1, "a")]
        assert parts[-1] == BundleEnd(1, "history")

    def test_single_resource(self, tmp_path):
        assert ids(parts_of(tmp_path, json.dumps(ANNA, indent=2))) == [(0, "a")]

    @pytest.mark.parametrize("end", ["", "\n", "\r\n\r\n"])
    def test_ndjson_of_resources(self, tmp_path, end):
        assert ids(parts_of(tmp_path, json.dumps(ANNA) + "\n" + json.dumps(BERT) + end)) == [(0, "a"), (0, "b")]

    def test_ndjson_of_bundles_is_one_document_each(self, tmp_path):
        text = json.dumps(bundle(ANNA)) + "\n" + json.dumps(bundle(BERT)) + "\n"

        assert ids(parts_of(tmp_path, text)) == [(1, "a"), (2, "b")]

    def test_pretty_printed_bundles_one_after_another(self, tmp_path):
        text = json.dumps(bundle(ANNA), indent=2) + "\n" + json.dumps(bundle(BERT), indent=2)

        assert ids(parts_of(tmp_path, text)) == [(1, "a"), (2, "b")]

    def test_array_of_bundles_and_resources(self, tmp_path):
        assert ids(parts_of(tmp_path, json.dumps([bundle(ANNA), BERT, []]))) == [(1, "a"), (0, "b")]

    def test_bundle_in_a_bundle(self, tmp_path):
        parts = parts_of(tmp_path, json.dumps(bundle(ANNA, bundle(BERT, kind="searchset"), kind="batch")))

        assert ids(parts) == [(1, "a"), (2, "b")]
        assert [p for p in parts if isinstance(p, BundleEnd)] == [BundleEnd(2, "searchset"), BundleEnd(1, "batch")]

    def test_list_resource_is_no_bundle(self, tmp_path):
        listing = {"resourceType": "List", "id": "l", "entry": [{"item": {"reference": "Patient/a"}}]}

        assert ids(parts_of(tmp_path, json.dumps(listing))) == [(0, "l")]

    def test_gzip_and_byte_order_mark(self, tmp_path):
        marked = b"\xef\xbb\xbf" + json.dumps(ANNA).encode()

        assert ids(parts_of(tmp_path, gzip.compress(marked), marked)) == [(0, "a"), (0, "a")]

    def test_everything_is_numbered(self, tmp_path):
        first, second = json.dumps(bundle(ANNA, BERT)), json.dumps(bundle(BERT))

        entries = [p for p in parts_of(tmp_path, first, second) if isinstance(p, Entry)]

        assert [(e.file, e.document, e.index, e.ordinal) for e in entries] == [(1, 1, 0, 0), (1, 1, 1, 1), (2, 2, 0, 2)]


class TestEntries:
    def test_deletion_in_a_history(self, tmp_path):
        entry = {
            "fullUrl": "https://h.test/Patient/a",
            "request": {"method": "DELETE", "url": "Patient/a"},
            "response": {"status": "204", "lastModified": "2024-01-01T00:00:00Z"},
        }

        parts = parts_of(tmp_path, json.dumps({"resourceType": "Bundle", "type": "history", "entry": [entry]}))

        assert (parts[0].deleted, parts[0].modified) == ("Patient/a", "2024-01-01T00:00:00Z")

    def test_request_or_response_without_resource_is_nothing_to_report(self, tmp_path):
        entries = [{"request": {"method": "GET", "url": "Patient"}}, {"response": {"status": "201"}}]

        parts = parts_of(tmp_path, json.dumps({"resourceType": "Bundle", "type": "batch", "entry": entries}))

        assert parts == [BundleEnd(1, "batch")]

    def test_entries_that_are_none_are_reported_by_place(self, tmp_path):
        entries = [5, {}, {"resource": "Patient/1"}, {"resource": ANNA}]

        parts = parts_of(tmp_path, json.dumps({"resourceType": "Bundle", "entry": entries}))

        assert parts[:3] == [
            Unreadable(1, 0, "entry-not-an-object"),
            Unreadable(1, 1, "no-resource"),
            Unreadable(1, 2, "no-resource"),
        ]
        assert ids(parts) == [(1, "a")]


class TestBroken:
    def test_broken_line_of_ndjson_costs_that_line(self, tmp_path):
        text = json.dumps(ANNA) + '\n{"resourceType": "Patient", "id": \n' + json.dumps(BERT) + "\n"

        parts = parts_of(tmp_path, text)

        assert ids(parts) == [(0, "a"), (0, "b")]
        assert Unreadable(1, 1, "malformed-json") in parts

    def test_broken_bundle_in_ndjson_costs_that_bundle(self, tmp_path):
        broken = json.dumps(bundle(ANNA))[:-1] + "x"

        parts = parts_of(tmp_path, broken + "\n" + json.dumps(bundle(BERT)))

        assert parts[0] == Unreadable(1, 0, "malformed-json")
        assert ids(parts) == [(1, "b")]

    def test_broken_bundle_longer_than_the_window_takes_back_what_was_read_of_it(self, tmp_path, monkeypatch):
        monkeypatch.setattr(json_stream, "CHUNK", 16)
        broken = json.dumps(bundle(ANNA))[:-1] + "x"

        parts = parts_of(tmp_path, broken + "\n" + json.dumps(bundle(BERT)))

        assert parts[:2] == [Entry(1, 1, 0, 0, None, ANNA), Unreadable(1, 1, "malformed-json", (1,))]
        assert ids(parts)[1:] == [(2, "b")]

    @pytest.mark.parametrize("cut", [30, 60, 90])
    def test_cut_bundle_is_unusable(self, tmp_path, cut):
        problems = [p for p in parts_of(tmp_path, json.dumps(bundle(ANNA, BERT))[:cut]) if isinstance(p, Unreadable)]

        assert len(problems) == 1
        assert problems[0].documents == (1,) or problems[0].whole_file or cut == 30

    def test_broken_pretty_printed_bundle_costs_the_file(self, tmp_path):
        text = json.dumps(bundle(ANNA, BERT), indent=2).replace('"b"', '"b" oops')

        parts = parts_of(tmp_path, text, json.dumps(bundle(BERT)))

        assert Unreadable(1, 1, "malformed-json", (1,), whole_file=True) in parts
        assert (2, "b") in ids(parts)

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "empty-file"),
            (b" \n ", "empty-file"),
            (b"<Bundle xmlns='http://hl7.org/fhir'/>", "not-json"),
            (b"\xff\xfe{\x00}\x00", "not-utf-8"),
            (b'{"resourceType": "Patient", "id": "\xe9"}', "not-utf-8"),
            (gzip.compress(json.dumps(bundle(ANNA)).encode(), mtime=0)[:-12], "broken-gzip"),
            (b'{"resourceType":"Patient","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested-too-deep"),
        ],
    )
    def test_reasons(self, tmp_path, content, reason):
        problems = [p for p in parts_of(tmp_path, content) if isinstance(p, Unreadable)]

        assert [p.reason for p in problems] == [reason]

    def test_string_that_never_ends_is_given_up(self, tmp_path, monkeypatch):
        monkeypatch.setattr(json_stream, "LARGEST_VALUE", 1 << 21)

        parts = parts_of(tmp_path, '{"resourceType": "Bundle", "entry": [{"resource": {"id": "' + "x" * (5 << 20))

        assert [p.reason for p in parts] == ["entry-too-large"]


def test_elements_and_text_across_the_window(tmp_path, monkeypatch):
    """Every place at which the window can end, in a text with escapes, numbers and characters of several bytes."""
    monkeypatch.setattr(json_stream, "CHUNK", 7)
    resources = [
        {"resourceType": "Patient", "id": str(n), "name": [{"text": 'Zoë "x\\" 山'}], "n": 10**n} for n in range(9)
    ]

    parts = parts_of(tmp_path, json.dumps(bundle(*resources), ensure_ascii=False, indent=1))

    assert [p.resource for p in parts if isinstance(p, Entry)] == resources


def test_memory_stays_small(tmp_path):
    """40 MB of entries are walked with a window of a few."""
    import tracemalloc

    path = tmp_path / "large.json"
    filler = json.dumps({"resource": {"resourceType": "Observation", "note": "x" * 2000}})
    with path.open("w") as out:
        out.write('{"resourceType": "Bundle", "entry": [' + filler)
        for _ in range(20_000):
            out.write("," + filler)
        out.write("]}")
    tracemalloc.start()

    total = sum(isinstance(p, Entry) for p in Reader().read(path))

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 20_001
    assert peak < 12 << 20
