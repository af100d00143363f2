"""The second reading: collects what belongs to each person and hands a person over as soon as all of it was seen.

Where people are spread over the files (an export with one file per resource type) keeping all of them until the end
could take too much memory: then the files are read several times, for a part of the people each time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli.fhir.addresses import Key, keys_of, place_of
from cli.fhir.clinical import LeftOut
from cli.fhir.documents import Entry, Unreadable
from cli.fhir.elements import Json, code, objs
from cli.fhir.index import Index, contained_patient, parts, spot_of, version_of
from cli.fhir.mapping import Mapped, map_clinical
from cli.fhir.patient import Registration, deceased, map_patient
from cli.fhir.people import People
from cli.fhir.references import address
from cli.fhir.report import Report
from cli.fhir.resource_types import CLINICAL, NAMED, PATIENT, shown
from cli.fhir.turns import Span, plan_turns

MOST_KEPT = 200_000
"""Most resources of people under way that are kept at one time."""


@dataclass(frozen=True)
class Found:
    """One clinical resource as mapped, where it stood, what compares its versions, and the keys it is referred to
    by."""

    type: str
    entry: tuple[int, int]
    newness: tuple[Any, ...]
    mapped: Mapped
    keys: tuple[Key, ...]


@dataclass(frozen=True)
class Gathered:
    """One person, whole: who they are, the best of their registrations and its place (file, index), whether and when
    they died, and all that is clinical."""

    identity: tuple[str, ...]
    registration: Registration
    place: tuple[int, int]
    death: tuple[bool, str | None]
    found: list[Found]


@dataclass(frozen=True)
class _PatientRecord:
    rank: tuple[Any, ...]
    registration: Registration
    death: tuple[bool, str | None]
    place: tuple[int, int]


@dataclass
class _UnderWay:
    remaining: int
    records: list[_PatientRecord] = field(default_factory=list)
    found: dict[Key | int, Found] = field(default_factory=dict)


class Gatherer:
    """Collects people; what cannot be anybody's is counted in the report."""

    def __init__(self, paths: Sequence[Path], index: Index, people: People, report: Report) -> None:
        self._paths = paths
        self._index = index
        self._people = people
        self._report = report
        self._first_turn = True

    def gather(self, on_read: Callable[[int, int], None] = lambda file, size: None) -> Iterator[Gathered]:
        """Give every person that can be taken, each once. Raises ``OSError``."""
        self._count_refused()
        sizes = self._sizes()
        turns = plan_turns(sizes, MOST_KEPT)
        for turn in range(max(turns.values(), default=0) + 1):
            self._first_turn = turn == 0
            under_way = {n: _UnderWay(sizes[n][0]) for n, t in turns.items() if t == turn}
            for part in parts(self._paths, on_read):
                if isinstance(part, Entry) and self._index.usable(part):
                    number = self._take(part, under_way)
                    if number is not None and (whole := self._whole(number, under_way)):
                        yield whole
                elif isinstance(part, Unreadable) and self._first_turn:
                    self._report.unreadable(part.reason, part.file, part.index)

    def _count_refused(self) -> None:
        self._report.files = len(self._paths)
        for number, person in enumerate(self._people.persons):
            refused = isinstance(self._people.survivor(number), str)
            if refused and (person.merged_into is None or not person.refused):
                self._report.people.update(("found", "refused"))

    def _sizes(self) -> dict[int, Span]:
        spans: dict[int, list[int]] = {}

        def count(person: int | str, number: int, first: int, last: int) -> None:
            if isinstance(person, int):
                span = spans.setdefault(person, [0, first, last])
                span[:] = [span[0] + number, min(span[1], first), max(span[2], last)]

        for (ordinal, contained), number in self._people.by_row.items():
            if not contained:
                count(self._people.survivor(number), 1, ordinal, ordinal)
        for spot, tally in self._index.spots.items():
            if self._index.usable_place(spot.place):
                count(self._people.by_spot[spot], tally.count, tally.first, tally.last)
        return {number: (span[0], span[1], span[2]) for number, span in spans.items()}

    def _take(self, entry: Entry, under_way: dict[int, _UnderWay]) -> int | None:
        """Take an entry in; return the person under way that it is about."""
        if entry.deleted is not None:
            if self._first_turn and not self._index.in_history(entry.document):
                self._leave_out(entry, shown(address(entry.deleted).type or None), "delete-request")
            return None
        type_ = code(entry.resource, "resourceType")
        if self._first_turn:
            self._report.read[shown(type_)] += 1
        if type_ == PATIENT:
            return self._take_patient(entry, under_way)
        if type_ in CLINICAL:
            return self._take_clinical(entry, str(type_), under_way)
        if type_ not in NAMED and self._first_turn:
            self._report.not_taken[shown(type_), "type-not-imported"] += 1
        return None

    def _take_patient(self, entry: Entry, under_way: dict[int, _UnderWay]) -> int | None:
        number = self._people.by_row[entry.ordinal, False]
        person = self._people.survivor(number)
        if not isinstance(person, int):
            if self._first_turn:
                self._leave_out(entry, PATIENT, person)
            return None
        if person not in under_way:
            return None
        under_way[person].remaining -= 1
        if self._index.is_deleted(entry):
            self._leave_out(entry, PATIENT, "deleted")
        elif person != number:
            self._leave_out(entry, PATIENT, "merged")
        else:
            self._keep_record(entry, entry.resource, under_way[person])
        return person

    def _take_clinical(self, entry: Entry, type_: str, under_way: dict[int, _UnderWay]) -> int | None:
        spot = spot_of(entry)
        person = self._people.by_spot[spot]
        if not isinstance(person, int):
            if self._first_turn:
                self._leave_out(entry, type_, person)
            return None
        if person not in under_way:
            return None
        state = under_way[person]
        state.remaining -= 1
        if spot.container >= 0 and self._people.by_row.get((entry.ordinal, True)) == person:
            self._keep_record(entry, contained_patient(entry, spot) or {}, state)
        mapped = LeftOut("deleted") if self._index.is_deleted(entry) else map_clinical(entry, type_, self._index)
        keys = tuple(keys_of(entry, type_))
        newness = (*self._newness(entry, entry.resource), repr(mapped))
        found = Found(type_, (entry.file, entry.index), newness, mapped, keys)
        version_key = keys[0] if keys else entry.ordinal
        older = state.found.get(version_key)
        if older is not None and older.newness > found.newness:
            older, found = found, older
        if older is not None:
            self._report.leave_out(type_, "older-version", *older.entry)
        state.found[version_key] = found
        return person

    def _keep_record(self, entry: Entry, patient: Json, state: _UnderWay) -> None:
        registration = map_patient(patient)
        replaced = any(link.get("type") == "replaced-by" for link in objs(patient, "link"))
        written = json.dumps([registration.identity, registration.language, registration.time_zone], sort_keys=True)
        best = (not replaced, patient.get("active") is not False, self._newness(entry, patient), len(written), written)
        state.records.append(_PatientRecord(best, registration, deceased(patient), (entry.file, entry.index)))

    def _newness(self, entry: Entry, resource: Json) -> tuple[str, int, int]:
        return self._index.newness(version_of(resource), place_of(entry).document, entry.ordinal)

    def _whole(self, number: int, under_way: dict[int, _UnderWay]) -> Gathered | None:
        state = under_way[number]
        if state.remaining:
            return None
        del under_way[number]
        if not state.records:
            for found in state.found.values():
                self._report.leave_out(found.type, "patient-deleted", *found.entry)
            return None
        self._report.people["found"] += 1
        best = max(state.records, key=lambda record: record.rank)
        died = max((record.death for record in state.records), key=lambda death: (death[0], death[1] or ""))
        identity = self._people.persons[number].identity
        return Gathered(identity, best.registration, best.place, died, list(state.found.values()))

    def _leave_out(self, entry: Entry, type_: str, reason: str) -> None:
        self._report.leave_out(type_, reason, entry.file, entry.index)
