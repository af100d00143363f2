"""FHIR's Patient as the body of ``register_subject``, and what tells one person from another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from zoneinfo import available_timezones

from application.schemas.people import IdentitySchema
from cli.fhir.accepted import refused_fields
from cli.fhir.contact import choose_address, choose_name, choose_telecom
from cli.fhir.elements import Json, code, codes, obj, objs, partial_date, text
from domain.registry import LANGUAGE

_TIME_ZONE = "http://hl7.org/fhir/StructureDefinition/timezone"
_SHARED_TYPES = frozenset({"MB", "SN", "AN", "VN", "GN", "GI", "BN", "RN"})
"""Identifier types (HL7 table 0203) of contracts, accounts, visits and guarantors, which several people may share."""
_TYPE_RANKS = {"MR": 0, "PI": 1, "PT": 1, "NI": 2, "SS": 2, "NH": 2, "JHN": 2, "DL": 4, "PPN": 4}
_PLACEHOLDERS = frozenset({"unknown", "unk", "none", "null", "n/a", "na", "nil", "tbd", "test", "anonymous"})
_LANGUAGES = {"eng": "en", "spa": "es", "fra": "fr", "fre": "fr", "deu": "de", "ger": "de", "ita": "it", "por": "pt",
              "nld": "nl", "dut": "nl", "zho": "zh", "chi": "zh", "ara": "ar", "rus": "ru", "pol": "pl", "tur": "tr",
              "vie": "vi", "kor": "ko", "jpn": "ja", "hin": "hi", "tgl": "tl"}  # fmt: skip
"""ISO 639-2 codes that systems send where FHIR wants BCP 47."""


@dataclass(frozen=True)
class Registration:
    """A person as the service registers them (without the notice); ``problems`` are reason codes of what was left
    out."""

    identity: dict[str, Any]
    time_zone: str | None
    language: str | None
    problems: tuple[str, ...]

    def body(self, language: str, policy_version: str) -> dict[str, Any]:
        """Return the body of ``register_subject``; ``language`` is what a person without one is given."""
        body = {
            "identity": self.identity,
            "language": self.language or language,
            "notice": {"policy_version": policy_version},
        }
        return body | ({"time_zone": self.time_zone} if self.time_zone else {})


def map_patient(resource: Json) -> Registration:
    """Map a Patient. Without any name, ``identity`` has none and the service will not take it."""
    problems: list[str] = []
    identity: dict[str, Any] = dict(choose_name(resource, problems))
    birth_date = _birth_date(resource, problems)
    email, phone = (choose_telecom(resource, system, problems) for system in ("email", "phone"))
    found = {
        "birth_date": birth_date,
        "email": email,
        "phone": phone,
        "address": choose_address(resource, problems),
    }
    identity |= {key: value for key, value in found.items() if value}
    return Registration(identity, _time_zone(resource), _language(resource), tuple(problems))


def deceased(resource: Json) -> tuple[bool, str | None]:
    """Return whether the person is recorded as dead, and since when."""
    since = partial_date(resource.get("deceasedDateTime"))
    return bool(since) or "deceasedDateTime" in resource or resource.get("deceasedBoolean") is True, since


def strong_identifiers(resource: Json) -> list[tuple[int, str, str]]:
    """Return (rank, system, value) of what identifies this one person anywhere, the best (lowest rank) first.

    Left out: identifiers without a system, former and temporary ones, placeholders and masked ones, and kinds that
    several people share.
    """
    ranked = []
    for identifier in objs(resource, "identifier"):
        system, value, use = (code(identifier, name) for name in ("system", "value", "use"))
        kinds = codes(obj(identifier, "type"))
        if not system or use in ("old", "temp") or kinds & _SHARED_TYPES or _is_placeholder(value):
            continue
        rank = min((_TYPE_RANKS[kind] for kind in kinds if kind in _TYPE_RANKS), default=3)
        ranked.append((rank + (10 if use == "secondary" else 0), system, value))
    return sorted(ranked)


def local_identifiers(resource: Json) -> list[str]:
    """Return the values of identifiers without a system, which mean something in their own house only."""
    values = {code(i, "value") for i in objs(resource, "identifier") if not code(i, "system")}
    return sorted(value for value in values if not _is_placeholder(value))


def described(resource: Json) -> tuple[str, str]:
    """Return name and date of birth in a form to compare (``""`` for what is missing)."""
    name = choose_name(resource, [])
    words = " ".join(filter(None, (name.get("given_name"), name.get("family_name"))))
    return words.casefold(), partial_date(resource.get("birthDate")) or ""


def _is_placeholder(value: str) -> bool:
    kept = re.sub(r"\W", "", value).casefold()
    masked = "*" in value or re.search(r"x{3}", kept) is not None
    repeated = kept in ("", "0") or (len(kept) > 2 and len(set(kept)) == 1)
    return masked or repeated or value.strip().casefold() in _PLACEHOLDERS


def _birth_date(resource: Json, problems: list[str]) -> str | None:
    given = resource.get("birthDate")
    if given is None:
        return None
    born = partial_date(given)
    if born is None or refused_fields(IdentitySchema, {"birth_date": born}) & {"birth_date"}:
        problems.append("birth-date-not-accepted")
        return None
    return born


def _language(resource: Json) -> str | None:
    spoken = sorted(objs(resource, "communication"), key=lambda c: c.get("preferred") is not True)
    for communication in spoken:
        for coding in objs(obj(communication, "language"), "coding"):
            if tag := _language_tag(code(coding, "code")):
                return tag
    return None


def _language_tag(tag: str) -> str | None:
    """Return a BCP 47 tag as language and region (``zh-Hans-CN`` as ``zh-CN``), or ``None``."""
    language, *rest = re.split(r"[-_]", tag)
    language = _LANGUAGES.get(language.lower(), language.lower())
    region = next((part.upper() for part in rest if re.fullmatch(r"[A-Za-z]{2}", part)), None)
    candidates = [f"{language}-{region}"] if region else []
    return next((c for c in [*candidates, language] if LANGUAGE.conforms(c)), None)


def _time_zone(resource: Json) -> str | None:
    for holder in (resource, *objs(resource, "address")):
        for extension in objs(holder, "extension"):
            zone = text(extension, "valueCode") or text(extension, "valueString")
            if extension.get("url") == _TIME_ZONE and zone in available_timezones():
                return zone
    return None
