"""Under which addresses a resource is found, and at which ones a reference looks, in order.

A relative reference means the base of the entry it stands in, else the same Bundle; only a UUID means the same resource
everywhere, so ``Patient/1`` of one hospital's Bundle never meets ``Patient/1`` of another's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from cli.fhir.documents import LOOSE, Entry
from cli.fhir.references import Reference, address, is_uuid

Key = bytes
"""An address, hashed to 16 bytes to keep the index small."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands: file, document, and the base that its relative references have (``""``: none)."""

    file: int
    document: int
    base: str


def place_of(entry: Entry) -> Place:
    """Return the place of an entry."""
    return Place(entry.file, entry.document, address(entry.full_url).base)


def keys_of(entry: Entry, type_: str, identifiers: Sequence[tuple[str, str]] = ()) -> list[Key]:
    """Return the keys under which a resource is found; the first is the one that its versions share."""
    full, id_ = address(entry.full_url), entry.resource.get("id")
    keys = []
    if full.base:
        keys.append(_key("url", full.url))
    elif full.url:
        keys += [_key("urn", str(entry.document), full.url), _key("urn", full.url)]
        keys += _uuid(type_, full.url.removeprefix("urn:uuid:"))
    if isinstance(id_, str) and id_:
        place = (str(entry.file), str(entry.document), type_, id_)
        keys.append(_key("id", *place))
        if not full.url:
            keys.append(_key("bare", *place))
        if entry.document == LOOSE:
            keys.append(_key("loose", type_, id_))
        keys += _uuid(type_, id_)
    return [*keys, *(_key("identifier", system, value) for system, value in identifiers)]


def keys_for(place: Place, references: Sequence[Reference], type_: str) -> Iterator[Key]:
    """Give the keys to try for a reference to a resource of this type, the surest first."""
    for reference in references:
        if reference.type not in ("", type_):
            continue
        if reference.value:
            yield _key("identifier", reference.system, reference.value)
        elif reference.id:
            yield from _restful(place, reference, type_)
        elif reference.url:
            yield _key("urn", str(place.document), reference.url)
            yield _key("urn", reference.url)
            yield from _uuid(type_, reference.url.removeprefix("urn:uuid:"))


def _restful(place: Place, reference: Reference, type_: str) -> Iterator[Key]:
    local = (str(place.file), str(place.document), type_, reference.id)
    base = reference.base or place.base
    if base:
        yield _key("url", f"{base}/{type_}/{reference.id}")
        # An entry of another base is another resource, whatever its id.
        yield _key("bare", *local)
    else:
        yield _key("id", *local)
    if place.document == LOOSE and not reference.base:
        yield _key("loose", type_, reference.id)
    yield from _uuid(type_, reference.id)


def _uuid(type_: str, id_: str) -> list[Key]:
    return [_key("uuid", type_, id_.lower())] if is_uuid(id_) else []


def _key(*parts: str) -> Key:
    return blake2b("\x1f".join(parts).encode(errors="surrogatepass"), digest_size=16).digest()
