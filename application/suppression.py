"""Erased people who are brought in again: noticed although nothing about them can be read (policy clause 7.2).

A match decides nothing: people share names, birthdays and mailboxes. It goes to a privacy officer, and nothing is said
or recorded of whom it matched.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from domain import rules
from domain.errors import RuleRefused
from domain.record import encode
from domain.sealed import Erased, SealedField
from domain.search_terms import terms_of_identity
from vault.vault import Vault


def suppress(vault: Vault, identity: SealedField, now: datetime) -> datetime | None:
    """Enter a person whose identity is about to be erased and return when the entry expires.

    ``None`` when the identity is erased already, or has nothing in it that tells a person from their namesakes.
    """
    opened = vault.open(identity)
    texts = [] if isinstance(opened, Erased) else recognised_by(opened)
    return vault.suppression.enter(texts, now) if texts else None


def check_not_suppressed(vault: Vault, identity: Mapping[str, Any], now: datetime) -> None:
    """Raise :class:`RuleRefused` when a human must decide whether to register this identity."""
    if vault.suppression.has_any(recognised_by(identity), now):
        raise RuleRefused(rules.REGISTRATION_NEEDS_REVIEW)


def recognised_by(identity: Mapping[str, Any]) -> list[bytes]:
    """Return the least that a person is recognised by: whole name with date of birth, and e-mail address.

    Names in whichever order: imports swap them. A name alone or a telephone number is shared too often.
    """
    terms = terms_of_identity(identity)
    names = sorted(terms[field] for field in ("given_name", "family_name") if field in terms)
    texts = []
    if names and "birth_date" in terms:
        texts.append(encode({"kind": "name and birth date", "terms": [*names, terms["birth_date"]]}))
    if "email" in terms:
        texts.append(encode({"kind": "email", "terms": [terms["email"]]}))
    return texts
