"""Who is one person: Patient resources put together, merged records followed, and every reference led to a person.

Two records are one person when they have the same address or share an identifier that identifies. Mixing two people's
records is the worse mistake, so where such records contradict each other in both name and date of birth, none of them
is taken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cli.fhir.addresses import Key, keys_for
from cli.fhir.index import Index, Row, Spot
from cli.fhir.resource_types import PATIENT


@dataclass
class Person:
    """One person: what identifies them whatever the file, and why they are not taken (``""``: they are)."""

    identity: tuple[str, ...]
    rows: list[Row]
    refused: str = ""
    merged_into: int | None = None


@dataclass
class People:
    """All persons, and whom each Patient resource (by ordinal and being contained) and each spot means: a number in
    ``persons``, mergers followed, or the reason why there is nobody."""

    persons: list[Person]
    by_row: dict[tuple[int, bool], int]
    by_spot: dict[Spot, int | str] = field(default_factory=dict)

    def survivor(self, number: int) -> int | str:
        """Follow mergers to the surviving record; a circle of mergers, or a refused person, is the reason instead."""
        seen: set[int] = set()
        while (onward := self.persons[number].merged_into) is not None:
            if number in seen:
                return "merged-in-a-circle"
            seen.add(number)
            number = onward
        return self.persons[number].refused or number


class _Table:
    """Persons by the keys of their records."""

    def __init__(self, groups: Sequence[Sequence[Row]]) -> None:
        self._numbers: dict[Key, int] = {}
        self._ambiguous: set[Key] = set()
        for number, group in enumerate(groups):
            for key in (key for row in group for key in row.keys):
                if self._numbers.setdefault(key, number) != number:
                    self._ambiguous.add(key)

    def find(self, spot: Spot) -> int | str:
        """Return the person that a spot refers to, or the reason why there is none."""
        if not spot.references:
            return "no-patient-reference"
        if all(r.type not in ("", PATIENT) for r in spot.references):
            return "subject-not-a-patient"
        for key in keys_for(spot.place, spot.references, PATIENT):
            if key in self._ambiguous:
                return "patient-ambiguous"
            if key in self._numbers:
                return self._numbers[key]
        return "patient-missing"


def find_people(index: Index) -> People:
    """Tell the people in an index apart."""
    rows = [row for row in index.rows if index.usable_place(row.place)]
    groups = _groups(rows)
    table = _Table(groups)
    people = People(
        [_person(index, group) for group in groups],
        {(row.ordinal, row.spot is not None): n for n, group in enumerate(groups) for row in group},
    )
    _follow_links(people, index, table)
    contained = {row.spot: people.by_row[row.ordinal, True] for row in rows if row.spot is not None}
    for spot in index.spots:
        found = contained[spot] if spot in contained else table.find(spot)
        people.by_spot[spot] = people.survivor(found) if isinstance(found, int) else found
    return people


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Put together the rows that share an address, an identifier, or all that is known of a person without either."""
    parents = list(range(len(rows)))

    def root(number: int) -> int:
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    first: dict[object, int] = {}
    for number, row in enumerate(rows):
        for mark in _marks(row):
            parents[root(number)] = root(first.setdefault(mark, number))
    together: dict[int, list[Row]] = defaultdict(list)
    for number, row in enumerate(rows):
        together[root(number)].append(row)
    return list(together.values())


def _marks(row: Row) -> Iterable[object]:
    if row.version_key is not None:
        yield row.version_key
    for _, system, value in row.strong:
        yield system, value
    if not row.strong and (row.weak[0] == "url" or row.name):
        yield row.weak


def _person(index: Index, rows: list[Row]) -> Person:
    strong = min((identifier for row in rows for identifier in row.strong), default=None)
    identity = ("identifier", *strong[1:]) if strong else min(row.weak for row in rows)
    return Person(identity, rows, "identity-conflict" if _contradict(index, rows) else "")


def _contradict(index: Index, rows: list[Row]) -> bool:
    described = {(r.name, r.birth_date) for r in newest(index, rows) if r.name and len(r.birth_date) == 10}
    return any(a[0] != b[0] and a[1] != b[1] for a in described for b in described)


def newest(index: Index, rows: Iterable[Row]) -> list[Row]:
    """Return the newest version of each record among rows."""
    best: dict[object, Row] = {}
    for row in rows:
        key = row.version_key or (row.ordinal, row.spot is not None)
        present = best.get(key)
        if present is None or _newness(index, row) > _newness(index, present):
            best[key] = row
    return list(best.values())


def _newness(index: Index, row: Row) -> tuple[str, int, int]:
    return index.newness(row.version, row.place.document, row.ordinal)


def _follow_links(people: People, index: Index, table: _Table) -> None:
    """Note who was merged into whom (``Patient.link``), from either side."""
    for number, person in enumerate(people.persons):
        for row in newest(index, person.rows):
            for references in row.replaced_by:
                target = table.find(Spot(row.place, references))
                if isinstance(target, str):
                    person.refused = person.refused or "replaced-by-missing"
                elif target != number:
                    person.merged_into = target
            for references in row.replaces:
                target = table.find(Spot(row.place, references))
                if isinstance(target, int) and target != number and people.persons[target].merged_into is None:
                    people.persons[target].merged_into = number
