"""A certificate with its supplements, checked by whoever holds them and a public key: no service, no database.

A file holds one signed document a line, the certificate first. Where the log is at hand, it is evidence of its own:
the events that the certificate names, the documents as they were recorded, and the fences.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from joserfc.jwk import OKPKey

from application import signed_documents
from domain.certificate_form import CERTIFICATE, SUPPLEMENT
from domain.errors import DocumentInvalid
from domain.instants import parse_instant
from domain.record import Record

Document = dict[str, Any]

CLOCK_SKEW = timedelta(seconds=5)
"""``destroyed_at`` is by the keys cluster's clock, the other times by ours: how far they may be apart."""

_ORDER = (("fenced_at", "destroyed_at"), ("destroyed_at", "unrecoverable_after"), ("destroyed_at", "certified_at"))
_TIMES = sorted({name for pair in _ORDER for name in pair})
_STEPS = {"fenced": "ErasureFenced", "destroyed": "ErasureKeysDestroyed", "certified": "ErasureCertified"}


def lines_of(text: str) -> list[str]:
    """Return the signed documents of a file's text, as they stand."""
    return text.split()


def check(lines: Sequence[str], keys: Mapping[str, OKPKey]) -> tuple[list[Document], list[str]]:
    """Return what the documents say, and one line for each failure; none means that everything holds."""
    said: list[Document] = []
    failures: list[str] = []
    for number, line in enumerate(lines):
        try:
            said.append(signed_documents.read(line, keys))
        except DocumentInvalid as problem:
            failures.append(f"{_name(number)}: {problem}")
    if not lines:
        failures.append("there is no signed document in the file")
    if failures:
        return said, failures
    return said, [*_certificate_failures(said[0]), *_supplement_failures(lines[0], said)]


def check_against_log(
    lines: Sequence[str], said: Sequence[Document], records: Sequence[Record], fenced: Collection[UUID]
) -> list[str]:
    """Return one line for each thing that the log does not bear out.

    ``records``: the person's stream, in order; ``fenced``: which of the certificate's people and scopes are fenced.
    """
    certificate = said[0]
    by_id = {str(record.event_id): record for record in records}
    documents = _documents(records, certificate["certificate_id"])
    failures = [
        f"{_name(number)}: the log has not this document at its number"
        for number, line in enumerate(lines)
        if documents.get(number if number == 0 else said[number]["number"]) != line
    ]
    failures += _step_failures(certificate, by_id)
    failures += _fact_failures(said[1:], by_id)
    failures += _fence_failures(certificate, by_id, records, fenced)
    return failures


def left_out(said: Sequence[Document], records: Sequence[Record]) -> int:
    """Return how many supplements the log has that the file has not: recorded since it was written."""
    known = {0, *(document["number"] for document in said[1:])}
    return len(_documents(records, said[0]["certificate_id"]).keys() - known)


def _documents(records: Sequence[Record], certificate_id: str) -> dict[int, str]:
    """Return number → signed document of a certificate, as the log has them."""
    signed = (record.data for record in records if record.type == "CertificateSigned")
    return {data["number"]: data["document"] for data in signed if data["certificate_id"] == certificate_id}


def _certificate_failures(certificate: Document) -> list[str]:
    if certificate["document"] != CERTIFICATE:
        return ["the first document is no certificate"]
    no_times = [name for name in _TIMES if not _is_time(certificate[name])]
    if no_times:
        return [f"certificate: {name} is no time" for name in no_times]
    failures = [
        f"certificate: {later} is before {earlier}"
        for earlier, later in _ORDER
        if parse_instant(certificate[earlier]) - parse_instant(certificate[later]) > CLOCK_SKEW
    ]
    if certificate["root_epochs"]["after"] <= certificate["root_epochs"]["before"]:
        failures.append("certificate: the root key was not replaced")
    return failures


def _is_time(text: str) -> bool:
    """Return whether a text of the form of a time is one: there is no 31 February."""
    try:
        parse_instant(text)
    except ValueError:
        return False
    return True


def _supplement_failures(certificate: str, said: Sequence[Document]) -> list[str]:
    failures = []
    digest = signed_documents.digest(certificate)
    seen: set[int] = set()
    for number, supplement in enumerate(said[1:], 1):
        name = _name(number)
        if supplement["document"] != SUPPLEMENT:
            failures.append(f"{name}: is no supplement")
            continue
        named = (supplement["certificate_sha256"], supplement["certificate_id"], supplement["request_id"])
        if named != (digest, said[0].get("certificate_id"), said[0].get("request_id")):
            failures.append(f"{name}: refers to another certificate")
        if supplement["number"] in seen or supplement["number"] < 1:
            failures.append(f"{name}: its number is another supplement's, or none")
        seen.add(supplement["number"])
        if supplement["recorded_at"] < said[0].get("certified_at", ""):
            failures.append(f"{name}: recorded_at is before the certificate's certified_at")
    return failures


def _step_failures(certificate: Document, by_id: Mapping[str, Record]) -> list[str]:
    """Hold the three events that the certificate names against what it says."""
    found: dict[str, Record] = {}
    failures = []
    for step, kind in _STEPS.items():
        record = by_id.get(certificate["events"][step])
        if record is None or record.type != kind:
            failures.append(f"certificate: the log has no event {kind} with the id it names")
        else:
            found[step] = record
    if failures:
        return failures
    if not found["fenced"].position < found["destroyed"].position < found["certified"].position:
        failures.append("certificate: the log has its events in another order")
    failures += [
        f"certificate: {field} is not what the log says"
        for field, value in _logged(found).items()
        if certificate[field] != value
    ]
    early = [view for view, at in certificate["views"].items() if at < found["destroyed"].position]
    return failures + [f"certificate: view {view} purged before the keys were destroyed" for view in early]


def _logged(found: Mapping[str, Record]) -> dict[str, Any]:
    fenced, destroyed, certified = found["fenced"], found["destroyed"], found["certified"]
    return {
        "certificate_id": certified.data["certificate_id"],
        "request_id": certified.data["request_id"],
        "subject_id": certified.stream,
        "whole_person": fenced.data["whole_person"],
        "fenced_at": fenced.occurred,
        "destroyed_at": destroyed.data["destroyed_at"],
        "unrecoverable_after": destroyed.data["unrecoverable_after"],
        "certified_at": certified.occurred,
        "root_epochs": {"before": destroyed.data["root_epoch_before"], "after": destroyed.data["root_epoch_after"]},
        "fingerprints": destroyed.data["fingerprints"],
        "views": certified.data["view_positions"],
    }


def _fact_failures(supplements: Sequence[Document], by_id: Mapping[str, Record]) -> list[str]:
    failures = []
    for number, supplement in enumerate(supplements, 1):
        record = by_id.get(supplement["event_id"])
        said = (supplement["fact"], supplement["recorded_at"], supplement["data"])
        if record is None or (record.type, record.occurred, record.data) != said:
            failures.append(f"{_name(number)}: the log has not the event it reports")
    return failures


def _fence_failures(
    certificate: Document, by_id: Mapping[str, Record], records: Sequence[Record], fenced: Collection[UUID]
) -> list[str]:
    """Hold the fences, and what came after them, against the certificate: nothing sealed to what was fenced."""
    scopes = {scope["scope_id"] for scope in certificate["scopes"]}
    owed = {UUID(scope_id) for scope_id in scopes}
    if certificate["whole_person"]:
        owed.add(UUID(certificate["subject_id"]))
    failures = [] if owed <= set(fenced) else ["certificate: the log does not fence all that it says is erased"]
    fence = by_id.get(certificate["events"]["fenced"])
    later = [r for r in records if fence is not None and r.position > fence.position]
    if any(str(part.scope_id) in scopes for record in later for part in record.sealed.values()):
        failures.append("certificate: the log has something sealed to an erased scope after the fence")
    return failures


def _name(number: int) -> str:
    return f"supplement {number}" if number else "certificate"
