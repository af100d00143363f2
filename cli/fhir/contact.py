"""Which of a person's names, telephone numbers, e-mail addresses and postal addresses to take.

FHIR lets a person have many of each, with a use, a period and a rank. What has ended gives way to what has not,
former names and addresses to present ones. No clock is asked, so that the same record always gives the same answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from application.schemas.people import AddressSchema, IdentitySchema
from cli.fhir.accepted import pieces, refused_fields
from cli.fhir.elements import Json, code, obj, objs, partial_date, text, texts

_NAME_USES = ("official", "usual", "", "temp", "nickname", "anonymous", "maiden", "old")
_TELECOM_USES = ("mobile", "home", "", "work", "temp", "old")
_ADDRESS_USES = ("home", "", "temp", "work", "billing", "old")
_LONGEST_NAME = 100
_LONGEST_LINE = 200
_MOST_LINES = 6


def choose_name(resource: Json, problems: list[str]) -> dict[str, str]:
    """Return ``given_name`` and ``family_name`` of the best name, or nothing. A name given as one text is not taken
    apart."""
    for name in _best_first(objs(resource, "name"), _NAME_USES):
        given, family = " ".join(texts(name, "given")), text(name, "family")
        if not given and not family:
            family = text(name, "text")
        found = {"given_name": given, "family_name": family or ""}
        taken = {key: _named(value, problems) for key, value in found.items() if value}
        if taken := {key: value for key, value in taken.items() if value}:
            return taken
    return {}


def choose_telecom(resource: Json, system: str, problems: list[str]) -> str | None:
    """Return the best ``phone`` or ``email`` that the service accepts."""
    systems = (system, "sms") if system == "phone" else (system,)
    points = [p for p in objs(resource, "telecom") if code(p, "system") in systems and text(p, "value")]
    points = _best_first(points, _TELECOM_USES)
    points.sort(key=lambda p: (_over(p, "old"), _rank(p)))
    for point in points:
        value = (text(point, "value") or "").removeprefix("tel:").removeprefix("mailto:")
        if not refused_fields(IdentitySchema, {system: value}) & {system}:
            return value
    if points:
        problems.append(f"{system}-not-accepted")
    return None


def choose_address(resource: Json, problems: list[str]) -> dict[str, Any] | None:
    """Return the best address, its state and district as lines; parts that the service does not accept are left out."""
    for address in _best_first(objs(resource, "address"), _ADDRESS_USES):
        lines = [piece for line in _lines(address) for piece in pieces(line, _LONGEST_LINE)]
        if len(lines) > _MOST_LINES:
            lines = [*lines[: _MOST_LINES - 1], ", ".join(lines[_MOST_LINES - 1 :])]
        body = {
            "lines": lines,
            "city": text(address, "city"),
            "postal_code": text(address, "postalCode"),
            "country": text(address, "country"),
        }
        taken = {key: value for key, value in body.items() if value}
        for refused in refused_fields(AddressSchema, taken):
            taken.pop(refused, None)
            problems.append("address-not-accepted")
        if taken:
            return {"lines": [], **taken}
    return None


def _lines(address: Json) -> list[str]:
    lines = texts(address, "line")
    parts = [text(address, "district"), text(address, "state")]
    structured = lines + [part for part in parts if part]
    if structured or text(address, "city") or text(address, "postalCode"):
        return structured
    written = address.get("text")
    return [line for line in (" ".join(part.split()) for part in _split(written)) if line]


def _split(written: Any) -> list[str]:
    return written.splitlines() if isinstance(written, str) else []


def _named(value: str, problems: list[str]) -> str | None:
    """Return a name as far as the service takes it: whole words, at most 100 characters."""
    words = value.split()
    while words and len(" ".join(words)) > _LONGEST_NAME:
        words.pop()
    taken = " ".join(words)
    if taken != value:
        problems.append("name-shortened")
    if taken and refused_fields(IdentitySchema, {"family_name": taken}) & {"family_name"}:
        problems.append("name-not-accepted")
        return None
    return taken or None


def _best_first(elements: Sequence[Json], uses: Sequence[str]) -> list[Json]:
    def rank(element: Json) -> tuple[bool, str, int]:
        use = code(element, "use")
        return _over(element, "old"), _later_first(element), uses.index(use) if use in uses else uses.index("")

    return sorted(elements, key=rank)


def _over(element: Json, former: str) -> bool:
    return code(element, "use") == former or bool(_end(element))


def _end(element: Json) -> str:
    return partial_date(obj(element, "period").get("end")) or ""


def _later_first(element: Json) -> str:
    """Return a key that sorts later ends first; what has none is equal."""
    return "".join(chr(0x10FFFF - ord(c)) for c in _end(element))


def _rank(point: Json) -> int:
    rank = point.get("rank")
    return rank if isinstance(rank, int) and not isinstance(rank, bool) and rank > 0 else 1_000
