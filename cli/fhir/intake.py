"""From one gathered person to the bodies of their commands: a registration and one intake, or more where one is too
small.

The same content gives the same bodies, whatever the order of the files and of the entries in them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from cli.fhir.addresses import Key
from cli.fhir.clinical import LeftOut, Taken, death
from cli.fhir.coverage import Insurance, in_order
from cli.fhir.elements import Json
from cli.fhir.encounter import Visit, reason_of
from cli.fhir.gather import Found, Gathered
from cli.fhir.report import Report
from cli.fhir.resource_types import PATIENT

LARGEST_INTAKE = 96 * 1024
"""Most bytes of JSON in one intake's lists, well below what an event may have once sealed."""

MOST_ENTRIES = 400
"""Most entries in one list of an intake."""

_LISTS = ("medical_history", "medications", "allergies")


@dataclass(frozen=True)
class Import:
    """What is published for one person: ``identity`` stands for them whatever the file, ``answers`` are those of the
    intakes."""

    identity: tuple[str, ...]
    place: tuple[int, int]
    registration: dict[str, Any]
    answers: list[dict[str, Any]]


def build_import(person: Gathered, language: str, policy_version: str, report: Report) -> Import:
    """Build what is published for a person, and count in the report what is left out of it."""
    for problem in person.registration.problems:
        report.details[PATIENT, problem] += 1
    lists: dict[str, list[dict[str, Any]]] = {name: [] for name in _LISTS}
    insurances: list[Insurance] = []
    visits: list[Visit] = []
    for found in person.found:
        mapped = found.mapped
        if isinstance(mapped, LeftOut):
            report.leave_out(found.type, mapped.reason, *found.entry)
            continue
        if isinstance(mapped, Visit):
            visits.append(mapped)
            continue
        for problem in mapped.problems:
            report.details[found.type, problem] += 1
        if isinstance(mapped, Taken):
            lists[mapped.answers] += mapped.entries
        else:
            insurances.append(mapped)
    if person.death[0]:
        lists["medical_history"].append(death(person.death[1]))
    lists["medications"] = _repeated(lists["medications"])
    if len(visits) > 1:
        report.not_taken["Encounter", "another-visit"] += len(visits) - 1
    reason, complete = reason_of(visits, _condition_names(person.found))
    if not complete:
        report.details["Encounter", "reason-shortened"] += 1
    answers = list(_answers(reason, lists, [i.body for i in in_order(insurances)]))
    return Import(person.identity, person.place, person.registration.body(language, policy_version), answers)


def _answers(
    reason: str, lists: dict[str, list[dict[str, Any]]], insurances: Sequence[Json]
) -> Iterator[dict[str, Any]]:
    """Give the answers of as many intakes as lists and insurances need: one insurance each, none too large."""
    parts = list(_parts({name: _distinct(entries) for name, entries in lists.items()})) or [{}]
    for part, insurance in zip_longest(parts, insurances):
        answers = {"reason": reason, **{name: (part or {}).get(name, []) for name in _LISTS}}
        yield answers | ({"insurance": insurance} if insurance else {})


def _parts(lists: dict[str, list[dict[str, Any]]]) -> Iterator[dict[str, list[dict[str, Any]]]]:
    part: dict[str, list[dict[str, Any]]] = {}
    size = 0
    for name, entries in lists.items():
        for entry in entries:
            length = len(json.dumps(entry).encode())
            if size + length > LARGEST_INTAKE or len(part.get(name, ())) >= MOST_ENTRIES:
                yield part
                part, size = {}, 0
            part.setdefault(name, []).append(entry)
            size += length
    if part:
        yield part


def _distinct(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each different entry once, by date (those without one last), then by name."""
    distinct = {json.dumps(entry, sort_keys=True): entry for entry in entries}
    return [distinct[key] for key in sorted(distinct, key=lambda key: (distinct[key].get("since", "9999"), key))]


def _repeated(orders: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put orders of the same thing together: since the first, with a note of how often and when last."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for order in orders:
        groups[json.dumps({**order, "since": None}, sort_keys=True)].append(order)
    merged = []
    for group in groups.values():
        days = sorted({order["since"] for order in group if "since" in order})
        if len(days) > 1:
            last = f"ordered {len(days)} times, last {days[-1]}"
            note = "; ".join(filter(None, [group[0].get("note"), last]))
            merged.append({**group[0], "since": days[0], "note": note})
        else:
            merged += group
    return merged


def _condition_names(found: Sequence[Found]) -> dict[Key, str]:
    names: dict[Key, str] = {}
    for condition in found:
        if isinstance(condition.mapped, Taken) and condition.type == "Condition":
            names |= dict.fromkeys(condition.keys, str(condition.mapped.entries[0]["condition"]))
    return names
