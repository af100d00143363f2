"""The first reading: who is in the files, who refers to whom, and what things are called. Nothing else is kept.

Memory grows with the number of people and of places that refer to them, not with the size of the files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli.fhir.addresses import Key, Place, keys_for, keys_of, place_of
from cli.fhir.documents import BundleEnd, Entry, Reader, Unreadable
from cli.fhir.elements import Json, code, comparable_instant, concept_text, obj, objs, text
from cli.fhir.patient import described, local_identifiers, strong_identifiers
from cli.fhir.references import Reference, address, parse_reference
from cli.fhir.resource_types import CLINICAL, KNOWN, NAMED, PATIENT

Version = tuple[str, int]

SUBJECT_FIELDS = ("subject", "patient", "beneficiary")


_WORLDWIDE = re.compile(r"https?://(?!localhost|example\.|\[|[\d.]+[:/])[^/:]+\.[a-z]", re.IGNORECASE)
"""A server whose name means the same one everywhere, so that a record's address there is the person's."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a person is referred to from: equal spots mean the same person. ``container`` is the ordinal of the entry
    that holds the person contained in itself, else -1."""

    place: Place
    references: tuple[Reference, ...]
    container: int = -1


@dataclass(slots=True)
class Tally:
    """How many entries refer to a person from one spot, and the ordinals of the first and last."""

    count: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Row:
    """One Patient resource, as far as telling people apart needs it."""

    spot: Spot | None
    place: Place
    ordinal: int
    keys: tuple[Key, ...]
    version_key: Key | None
    strong: tuple[tuple[int, str, str], ...]
    weak: tuple[str, ...]
    name: str
    birth_date: str
    version: Version
    replaced_by: tuple[tuple[Reference, ...], ...]
    replaces: tuple[tuple[Reference, ...], ...]


@dataclass
class Index:
    """What the first reading found."""

    rows: list[Row] = field(default_factory=list)
    spots: dict[Spot, Tally] = field(default_factory=dict)
    names: dict[Key, str] = field(default_factory=dict)
    bundle_types: dict[int, str] = field(default_factory=dict)
    deleted: dict[tuple[int, int, str], tuple[str, int]] = field(default_factory=dict)
    unreadable: list[Unreadable] = field(default_factory=list)
    entries: int = 0

    def usable(self, entry: Entry) -> bool:
        """Return whether an entry's Bundle and file could be read to their ends."""
        return self.usable_place(entry)

    def usable_place(self, place: Entry | Place) -> bool:
        """Return the same for a place."""
        return place.document not in self._bad_documents and place.file not in self._bad_files

    def in_history(self, document: int) -> bool:
        """Return whether a document is a history: versions of the same resources, the newest first."""
        return self.bundle_types.get(document) == "history"

    def newness(self, version: Version, document: int, ordinal: int) -> tuple[str, int, int]:
        """Return what compares versions of one resource; in a history also by its order."""
        return *version, -ordinal if self.in_history(document) else 0

    def is_deleted(self, entry: Entry) -> bool:
        """Return whether a history says that this resource was deleted after this version of it."""
        target = address(entry.full_url)
        id_ = target.id or code(entry.resource, "id")
        found = self.deleted.get((entry.file, entry.document, f"{entry.resource.get('resourceType')}/{id_}"))
        if found is None or not self.in_history(entry.document):
            return False
        updated, _ = version_of(entry.resource)
        if updated and found[0] and updated != found[0]:
            return found[0] > updated
        return found[1] > -entry.ordinal

    def name_of(self, place: Place, reference: Json, type_: str) -> str | None:
        """Return the name of the Medication or Organization that a reference points to, if it is in the files."""
        found = (self.names.get(key) for key in keys_for(place, parse_reference(reference), type_))
        return next(filter(None, found), None)

    def seal(self) -> None:
        """Note what turned out to be unusable; call it when everything is read."""
        self._bad_documents = {d for problem in self.unreadable for d in problem.documents}
        self._bad_files = {problem.file for problem in self.unreadable if problem.whole_file}


def read_index(paths: Sequence[Path], on_read: Callable[[int, int], None] = lambda file, size: None) -> Index:
    """Read files once. ``on_read`` is told (file from 1, bytes read of it). Raises ``OSError``."""
    index = Index()
    for part in parts(paths, on_read):
        if isinstance(part, Unreadable):
            index.unreadable.append(part)
        elif isinstance(part, BundleEnd):
            index.bundle_types[part.document] = part.type
        else:
            index.entries += 1
            _take(index, part)
    index.seal()
    return index


def parts(paths: Sequence[Path], on_read: Callable[[int, int], None]) -> Iterable[Any]:
    """Give the parts of all files, numbered through."""
    present = [0]
    reader = Reader(lambda size: on_read(present[0], size))
    for number, path in enumerate(paths, 1):
        present[0] = number
        yield from reader.read(path)


def spot_of(entry: Entry) -> Spot:
    """Return the spot from which a clinical resource refers to its person; no references: it names none."""
    element = next((obj(entry.resource, name) for name in SUBJECT_FIELDS if obj(entry.resource, name)), {})
    references = parse_reference(element)
    inner = any(r.contained for r in references)
    return Spot(place_of(entry), references, entry.ordinal if inner else -1)


def contained_in(resource: Json, id_: str, type_: str) -> Json | None:
    """Return a resource contained in another one by its id, with or without the ``#``."""
    wanted = id_.removeprefix("#")
    return next(
        (c for c in objs(resource, "contained") if c.get("id") == wanted and c.get("resourceType") == type_), None
    )


def contained_patient(entry: Entry, spot: Spot) -> Json | None:
    """Return the Patient that a clinical resource contains and is about."""
    return next(
        (p for r in spot.references if r.contained and (p := contained_in(entry.resource, r.contained, PATIENT))), None
    )


def version_of(resource: Json) -> Version:
    """Return a resource's version, to compare: its last update and its version number."""
    meta = obj(resource, "meta")
    number = code(meta, "versionId")
    return comparable_instant(meta.get("lastUpdated")), int(number) if re.fullmatch(r"[0-9]{1,18}", number) else -1


def _take(index: Index, entry: Entry) -> None:
    if entry.deleted is not None:
        _take_deletion(index, entry)
        return
    type_ = code(entry.resource, "resourceType")
    if type_ == PATIENT:
        index.rows.append(_row(entry, entry.resource, None))
    elif type_ in CLINICAL:
        spot = spot_of(entry)
        if spot.container >= 0 and (patient := contained_patient(entry, spot)):
            index.rows.append(_row(entry, patient, spot))
        tally = index.spots.get(spot)
        if tally is None:
            index.spots[spot] = Tally(1, entry.ordinal, entry.ordinal)
        else:
            tally.count += 1
            tally.last = entry.ordinal
    elif type_ in NAMED:
        _take_name(index, entry, str(type_))


def _take_name(index: Index, entry: Entry, type_: str) -> None:
    name = concept_text(obj(entry.resource, "code")) if type_ == "Medication" else text(entry.resource, "name")
    if name:
        identifiers = [(code(i, "system"), code(i, "value")) for i in objs(entry.resource, "identifier")]
        for key in keys_of(entry, type_, identifiers):
            index.names.setdefault(key, name)


def _take_deletion(index: Index, entry: Entry) -> None:
    target = address(entry.deleted)
    if target.id and target.type in KNOWN:
        place = (entry.file, entry.document, f"{target.type}/{target.id}")
        index.deleted[place] = max(
            index.deleted.get(place, ("", -entry.ordinal)), (comparable_instant(entry.modified), -entry.ordinal)
        )


def _row(entry: Entry, patient: Json, spot: Spot | None) -> Row:
    strong = strong_identifiers(patient)
    name, birth_date = described(patient)
    keys: list[Key] = []
    if spot is None:
        keys = keys_of(entry, PATIENT, [(system, value) for _, system, value in strong])
    full, id_ = address(entry.full_url), code(patient, "id")
    local = local_identifiers(patient) or [id_ or full.url if spot is None else ""]
    links = [(code(link, "type"), parse_reference(obj(link, "other"))) for link in objs(patient, "link")]
    return Row(
        spot,
        place_of(entry),
        entry.ordinal,
        tuple(keys),
        keys[0] if keys and (full.url or id_) else None,
        tuple(strong),
        _weak(full, spot, local, name, birth_date),
        name,
        birth_date,
        version_of(patient),
        tuple(references for kind, references in links if kind == "replaced-by"),
        tuple(references for kind, references in links if kind == "replaces"),
    )


def _weak(full: Reference, spot: Spot | None, local: list[str], name: str, birth_date: str) -> tuple[str, ...]:
    """Return what identifies a person without identifiers: their record's own address, or else all that is known."""
    if spot is None and _WORLDWIDE.match(full.base):
        return ("url", full.url)
    return ("record", *local, name, birth_date)
