"""Who may read what, for which purpose, and which categories are opened for them (policy clauses 2 and 4)."""

from __future__ import annotations

from collections.abc import Mapping

from domain.vocabulary import CATEGORIES

Right = tuple[str, str]

_CASEWORK: Right = ("case_manager", "casework")
_OFFICER: Right = ("privacy_officer", "rights")
_FOR_PERSON: Right = ("service", "rights")
_INTAKE: Right = ("service", "intake")
_REGULATOR: Right = ("regulator", "audit")

OPENED: Mapping[Right, frozenset[str]] = {
    _CASEWORK: CATEGORIES - {"payment", "device"},
    _OFFICER: CATEGORIES,
    _FOR_PERSON: CATEGORIES,
    _INTAKE: frozenset({"identity"}),
    _REGULATOR: frozenset(),
}
"""Categories opened for a role and purpose of use; the rest is shown as masked. A regulator sees facts, not content."""

_PERSONAL = frozenset(OPENED)
_DESK = frozenset({_CASEWORK, _OFFICER, _FOR_PERSON, _REGULATOR})

READERS: Mapping[str, frozenset[Right]] = {
    "subject": _PERSONAL,
    "case": _PERSONAL,
    "worklist": frozenset({_CASEWORK, _OFFICER, _INTAKE}),
    "consents": _DESK,
    "disclosures": _DESK,
    "requests": frozenset({_OFFICER, _FOR_PERSON, _REGULATOR}),
    "search": frozenset({_CASEWORK, _OFFICER}),
    "replay": frozenset({_REGULATOR, _OFFICER}),
}
"""Resource to who may read it."""
