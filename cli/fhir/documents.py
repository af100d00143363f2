"""From files to entries: Bundles of every type, NDJSON, single resources, arrays, one after another.

A Bundle is a *document*: references in it are looked up in it first. The resources that stand alone (NDJSON, a bulk
export of one file per type) together form document 0. Bundles may lie in Bundles, and their keys may come in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.fhir.json_stream import JsonStream, MalformedJson, elements, members

LOOSE = 0
"""The document of all resources that are in no Bundle."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource where it stands. ``file`` counts from 1 in the order of the command line, ``index`` from 0 in the
    file,
    ``ordinal`` from 0 through all files. A history's entry of a deletion has ``deleted``, its URL, and no resource."""

    file: int
    document: int
    index: int
    ordinal: int
    full_url: str | None
    resource: Mapping[str, Any]
    deleted: str | None = None
    modified: str = ""


@dataclass(frozen=True, slots=True)
class BundleEnd:
    """The end of a Bundle: only now its type is sure to be known."""

    document: int
    type: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that cannot be read: one entry, or all of the Bundles ``documents``, or the whole file."""

    file: int
    index: int
    reason: str
    documents: tuple[int, ...] = ()
    whole_file: bool = False


Part = Entry | BundleEnd | Unreadable


class Reader:
    """Reads files in the order given; a second reader over the same files numbers everything alike."""

    def __init__(self, on_read: Callable[[int], None] | None = None) -> None:
        """``on_read`` is told how many bytes of the present file have been read."""
        self._on_read = on_read
        self._file = 0
        self._index = -1
        self._ordinal = -1
        self._document = LOOSE

    def read(self, path: Path) -> Iterator[Part]:
        """Give the parts of the next file, in order. Raises ``OSError`` when it cannot be opened."""
        self._file += 1
        self._index = -1
        stream = JsonStream(path, self._on_read)
        try:
            yield from self._values(stream)
        finally:
            stream.close()

    def _values(self, stream: JsonStream) -> Iterator[Part]:
        empty = True
        while True:
            before, array = self._document, False
            try:
                first = stream.peek()
                if not first:
                    break
                empty, array = False, first == "["
                yield from self._top(stream, first)
            except MalformedJson as error:
                line_only = error.line_only or (not array and _resume(stream, error))
                documents = tuple(range(before + 1, self._document + 1))
                self._index += 1
                yield Unreadable(self._file, self._index, error.reason, documents, whole_file=not line_only)
                if not line_only:
                    return
        if empty:
            yield Unreadable(self._file, 0, "empty-file", whole_file=True)

    def _top(self, stream: JsonStream, first: str) -> Iterator[Part]:
        line = stream.line() if first == "{" else None
        if line is None:
            yield from self._value(stream, first)
        else:
            self._index += line.get("resourceType") != "Bundle"
            yield from self._resource(line, LOOSE, None)

    def _value(self, stream: JsonStream, first: str) -> Iterator[Part]:
        if first == "{":
            yield from self._object(stream)
        elif first == "[":
            for _ in elements(stream):
                yield from self._value(stream, stream.peek())
        else:
            raise MalformedJson("not-json")

    def _object(self, stream: JsonStream) -> Iterator[Part]:
        document: int | None = None
        rest: dict[str, Any] = {}
        for name in members(stream):
            if name == "entry" and stream.peek() == "[" and rest.get("resourceType", "Bundle") == "Bundle":
                document = document or self._new_document()
                for _ in elements(stream):
                    yield from self._entry(stream.value(), document)
            else:
                rest[name] = stream.value()
        if document is not None or rest.get("resourceType") == "Bundle":
            yield BundleEnd(document or self._new_document(), str(rest.get("type", "")))
        else:
            self._index += 1
            yield self._found(LOOSE, None, rest)

    def _entry(self, entry: Any, document: int) -> Iterator[Part]:
        self._index += 1
        if not isinstance(entry, dict):
            yield Unreadable(self._file, self._index, "entry-not-an-object")
            return
        resource, request, full_url = entry.get("resource"), entry.get("request"), entry.get("fullUrl")
        full_url = full_url if isinstance(full_url, str) else None
        if isinstance(request, dict) and request.get("method") == "DELETE":
            response = entry.get("response")
            modified = response.get("lastModified") if isinstance(response, dict) else None
            deleted = request.get("url") if isinstance(request.get("url"), str) else full_url
            yield self._found(document, full_url, {}, deleted or "", modified if isinstance(modified, str) else "")
        elif isinstance(resource, dict):
            yield from self._resource(resource, document, full_url)
        elif not isinstance(request, dict) and "response" not in entry:
            yield Unreadable(self._file, self._index, "no-resource")

    def _resource(self, resource: dict[str, Any], document: int, full_url: str | None) -> Iterator[Part]:
        if resource.get("resourceType") != "Bundle":
            yield self._found(document, full_url, resource)
            return
        inner = self._new_document()
        entries = resource.get("entry")
        for entry in entries if isinstance(entries, list) else []:
            yield from self._entry(entry, inner)
        yield BundleEnd(inner, str(resource.get("type", "")))

    def _found(
        self,
        document: int,
        full_url: str | None,
        resource: Mapping[str, Any],
        deleted: str | None = None,
        modified: str = "",
    ) -> Entry:
        self._ordinal += 1
        return Entry(self._file, document, self._index, self._ordinal, full_url, resource, deleted, modified)

    def _new_document(self) -> int:
        self._document += 1
        return self._document


def _resume(stream: JsonStream, error: MalformedJson) -> bool:
    """Return whether only this line is broken, as in NDJSON: the next one starts an object, or there is none."""
    try:
        return error.reason in ("malformed-json", "cut-off", "nested-too-deep") and stream.skip_line()
    except MalformedJson:
        return False
