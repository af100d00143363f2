"""The blind index: tags by which an equal value is found again, under a key that is replaced, epoch by epoch.

::

    tag    = the first 4 bytes of HMAC-SHA-256(index key of the epoch, prefixed("casekeeper/index/1", field, term))
    epoch  = the day on which it ends, in days since 1970-01-01; its key is the secret ``index-<epoch>`` of the keyring

A tag of 32 bits is not unique, and need not be: of a million people, one in four thousand searches meets a stranger,
who is told apart by opening the value. A longer one would find no better, and say more about a value of more than 2^32
possible ones, such as an e-mail address. A value of few possible ones (a date of birth, eight digits of a telephone
number, a common name) is given away by a deleted tag of any length to whoever has the key; so keys are short-lived
(ADR 26).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache

from vault.named_secrets import Secrets
from vault.primitives import hmac_sha256, prefixed

TAG_BYTES = 4
EPOCH_DAYS = 30
"""How long an epoch is if nothing else is set."""
REPLACED_WITHIN = timedelta(days=1)
"""How long after its epoch's end a key is destroyed at the latest: the index under the next one is built first."""

_LABEL = b"casekeeper/index/1"
_DAY = 86_400
_NAME = re.compile(r"index-(\d{1,7})")


def tag(key: bytes, field: str, term: str) -> int:
    """Return the tag of a field's term (``domain.search_terms``) as a signed number of 32 bits."""
    mac = hmac_sha256(key, _before(field) + prefixed(term.encode()))
    return int.from_bytes(mac[:TAG_BYTES], "big", signed=True)


@cache
def _before(field: str) -> bytes:
    """Return what stands before a term: the same for all terms of a field."""
    return prefixed(_LABEL, field.encode())


def tags(key: bytes, terms: Mapping[str, str]) -> dict[str, int]:
    """Return field → tag of each term."""
    return {field: tag(key, field, term) for field, term in terms.items()}


def epoch_at(moment: datetime, days: int) -> int:
    """Return the epoch a moment lies in, epochs being ``days`` long."""
    return (int(moment.timestamp()) // _DAY // days + 1) * days


def end_of(epoch: int) -> datetime:
    """Return when an epoch ends: the start of a day, in UTC."""
    return datetime.fromtimestamp(epoch * _DAY, UTC)


def is_over(epoch: int, now: datetime, days: int) -> bool:
    """Return whether an epoch is to be replaced: at its end, and at once when epochs were made shorter."""
    return now >= end_of(epoch) or epoch > epoch_at(now, days)


def index_key(vault: Secrets, epoch: int) -> bytes:
    """Return an epoch's key, made at the first call.

    Whoever asks for an epoch that is over gets another key than its tags were made with: look, after asking, whether
    the epoch is still in force.
    """
    return vault.secret(f"index-{epoch}")


def destroy_others(vault: Secrets, kept: Collection[int], in_force: Collection[int]) -> list[int]:
    """Destroy the keys of all these epochs but those in force; return which.

    ``kept``: what :func:`kept_epochs` returned before it was read which are in force. A process that was stopped after
    that and replaced has no name of a later key.
    """
    gone = sorted(set(kept) - set(in_force))
    for epoch in gone:
        vault.destroy_secret(f"index-{epoch}")
    return gone


def residue_until(vault: Secrets, purged_at: datetime, now: datetime, days: int) -> datetime:
    """Return until when a deleted entry of somebody purged at a moment could confirm a guess to a holder of its key.

    That is the end of the epoch of that moment, with the time a replacement may take. While a key of that time is
    overdue, because no worker ran, the answer moves on with ``now``: it is never said to be over while it is not.
    """
    epoch = epoch_at(purged_at, days)
    until = end_of(epoch) + REPLACED_WITHIN
    overdue = now >= until and any(kept <= epoch for kept in kept_epochs(vault))
    return now + REPLACED_WITHIN if overdue else until


def kept_epochs(vault: Secrets) -> set[int]:
    """Return the epochs whose keys are kept."""
    found = (_NAME.fullmatch(name) for name in vault.secrets())
    return {int(match[1]) for match in found if match}
