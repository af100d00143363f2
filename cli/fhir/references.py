"""References in every form FHIR allows, reduced to keys that resources are found by (R4, 2.3.0 and 2.36.4).

======================================  ======================================
``#p1``                                 contained in the same resource
``urn:uuid:…``, ``urn:oid:…``           an entry's ``fullUrl``
``https://host/base/Patient/1``         an entry's ``fullUrl``, any version
``Patient/1``, ``Patient/1/_history/2`` relative to the base of the entry, else by ``id`` in its document
``Patient?identifier=system|value``     conditional, as in transactions
``{"identifier": {…}}``                 logical
======================================  ======================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

from cli.fhir.elements import Json, code, obj

_RELATIVE = re.compile(r"(?P<type>[A-Za-z]+)/(?P<id>[A-Za-z0-9.\-]{1,64})(?:/_history/[^/]+)?")
_ABSOLUTE = re.compile(rf"(?P<base>https?://.+?)/{_RELATIVE.pattern}", re.IGNORECASE)
_URN = re.compile(r"urn:(uuid|oid):", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a reference points (false: nowhere); the fields that its form does not have are empty.

    ``url`` is absolute (with a ``base`` if RESTful); ``type`` and ``id`` come from a RESTful or relative one;
    ``system`` and
    ``value`` from a logical one.
    """

    contained: str = ""
    url: str = ""
    base: str = ""
    type: str = ""
    id: str = ""
    system: str = ""
    value: str = ""

    def __bool__(self) -> bool:
        """Return whether it points anywhere."""
        return bool(self.contained or self.url or self.id or self.value)


def parse_reference(element: Json) -> tuple[Reference, ...]:
    """Read a Reference element: its literal form, then its logical one, as far as they say something usable."""
    literal = _literal(code(element, "reference"), code(element, "type"))
    return tuple(filter(None, (literal, _identifier(obj(element, "identifier")))))


def address(full_url: str | None) -> Reference:
    """Read an entry's ``fullUrl``, the way references to it are read."""
    return _literal(full_url.strip(), "") if full_url else Reference()


def is_uuid(identifier: str) -> bool:
    """Return whether a resource's id is a UUID, and so means one resource wherever it stands."""
    return _UUID.fullmatch(identifier) is not None


def _literal(literal: str, type_: str) -> Reference:
    if literal.startswith("#"):
        return Reference(contained=literal[1:])
    if _URN.match(literal):
        return Reference(url=literal.lower())
    if match := _ABSOLUTE.fullmatch(literal):
        base, kind, id_ = match["base"], match["type"], match["id"]
        return Reference(url=f"{base}/{kind}/{id_}", base=base, type=kind, id=id_)
    if "?" in literal:
        return _conditional(literal)
    if match := _RELATIVE.fullmatch(literal.lstrip("/")):
        return Reference(type=match["type"], id=match["id"])
    if type_ and re.fullmatch(r"[A-Za-z0-9.\-]{1,64}", literal):
        return Reference(type=type_, id=literal)
    return Reference(url=literal) if re.match(r"[a-z][a-z0-9+.-]*:", literal, re.IGNORECASE) else Reference()


def _conditional(literal: str) -> Reference:
    type_, _, query = literal.partition("?")
    given = parse_qs(query).get("identifier", [""])[0]
    system, bar, value = unquote(given).rpartition("|")
    return Reference(type=type_.rpartition("/")[2], system=system, value=value) if bar and value else Reference()


def _identifier(identifier: Json) -> Reference:
    value = code(identifier, "value")
    return Reference(system=code(identifier, "system"), value=value) if value else Reference()
