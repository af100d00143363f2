"""The keys that messages to the inbox are encrypted to: X25519 keys in the keyring, replaced daily, then destroyed.

A key's ``kid`` is its day and moment of birth, so that the names alone say which is current and which are past their
time, and a mark that only this installation can make: so a key that was made and is missing is told from one that
somebody made up. A key outlives the last message that can have been encrypted to it and still lie on the topic.

The names are public. So a missing key is missed only for messages of the time in which publishers used it: at any
other, whoever can write to the topic could hold the inbox with a name they have read there.

A key of a clock that was ahead says a birth that is still to come, and would be kept until long after that. Who looks
after keys notes when it saw such a key (:func:`note_ahead`), in the name of another secret: that counts as its birth.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

from joserfc.jwk import OKPKey

from domain.errors import KeyringMismatch
from vault.named_secrets import Secrets

KEY_LIFE = timedelta(days=1)
"""How long new messages are encrypted to a key."""
CLIENT_CACHE = timedelta(hours=1)
"""How long a publisher may keep a key before it asks again."""
TOPIC_KEEPS = timedelta(days=1, hours=1)
"""The longest a message lies on the inbox topic: its retention and one segment."""
MARGIN = timedelta(hours=1)
"""How far the clocks of workers, API and brokers may be apart, one from another."""
KEPT = KEY_LIFE + CLIENT_CACHE + TOPIC_KEEPS + MARGIN
"""How long after it was made a key is destroyed."""
SWEEP = timedelta(minutes=5)
"""How late that may be done, while a worker runs: it looks every minute."""

_PREFIX = "inbox-key-"
_AHEAD = "inbox-ahead-"
_MARK = "inbox-kid"
_STAMP = "%Y%m%d%H%M%S"
_MARK_DIGITS = 16
_KID = re.compile(rf"([0-9]{{14}})-[0-9a-f]{{{_MARK_DIGITS}}}")
_NOTE = re.compile(rf"{_AHEAD}(?P<kid>(?P<birth>[0-9]{{14}})-[0-9a-f]{{{_MARK_DIGITS}}})-(?P<seen>[0-9]{{14}})")


def current_kid(vault: Secrets, now: datetime) -> str:
    """Return the key id to encrypt to, making a key when there is none young enough. Raises ``KeysUnavailable``."""
    names = vault.secrets()
    seen = _seen_ahead(names)
    born = {
        kid: at
        for kid, at in _kids(names).items()
        if at <= now < at + KEY_LIFE and not (kid in seen and KEY_LIFE <= now - seen[kid] <= KEPT)
    }
    return max(born, key=lambda kid: (born[kid], kid)) if born else rotate(vault, now)


def current_jwk(vault: Secrets, now: datetime) -> dict[str, str]:
    """Return the public key to encrypt to, as a JWK (RFC 7517, RFC 8037). Raises ``KeysUnavailable``."""
    kid = current_kid(vault, now)
    key = OKPKey.import_key(OKPKey.binding.from_private_bytes("X25519", vault.secret(_PREFIX + kid)))
    public = key.as_dict(private=False)
    return {"kty": "OKP", "crv": "X25519", "x": str(public["x"]), "kid": kid, "use": "enc", "alg": "ECDH-ES+A256KW"}


def private_key(vault: Secrets, kid: str, sent: datetime, now: datetime) -> bytes | None:
    """Return a key's 32 bytes; ``None`` when no such key is kept: one that is gone is never made again.

    ``sent``: when the broker took the message. Raises ``KeyringMismatch`` for a key that was made here, is not past its
    time and was in use when the message was sent: this is a keyring of before it.
    """
    if _KID.fullmatch(kid) is None:
        return None
    names = vault.secrets()
    if _PREFIX + kid in names:
        return vault.secret(_PREFIX + kid)
    if _MARK in names and kid not in _seen_ahead(names) and _is_missed(vault, kid, sent, now):
        raise KeyringMismatch("the keyring lacks an inbox key that is not past its time: it is of before that key")
    return None


def rotate(vault: Secrets, now: datetime) -> str:
    """Make a new current key and return its id."""
    stamp = now.astimezone(UTC).strftime(_STAMP)
    kid = f"{stamp}-{_mark(vault, stamp)}"
    vault.secret(_PREFIX + kid)
    return kid


def note_ahead(vault: Secrets, clock: Callable[[], datetime]) -> None:
    """Note when a key is seen whose birth is still to come, by more than clocks may be apart: it ends as if born then.

    The keys are listed before the clock is asked, so that a process which stood still takes none of later for one.
    """
    names = vault.secrets()
    now, seen = clock(), _seen_ahead(names)
    for kid, born in _kids(names).items():
        if born > now + MARGIN and kid not in seen:
            vault.secret(f"{_AHEAD}{kid}-{now.astimezone(UTC).strftime(_STAMP)}")


def destroy_expired(vault: Secrets, now: datetime) -> list[str]:
    """Destroy the keys to which no message can still lie on the topic; return their ids."""
    names = vault.secrets()
    seen = _seen_ahead(names)
    expired = [kid for kid, born in _kids(names).items() if now - _counted_from(born, seen.get(kid), now) > KEPT]
    for kid in expired:
        vault.destroy_secret(_PREFIX + kid)
    for name in names:
        # Until then it says that the key is not missed.
        if (noted := _NOTE.fullmatch(name)) and now - _born(noted["birth"]) > KEPT:
            vault.destroy_secret(name)
    return expired


def give_up_missing(vault: Secrets, now: datetime) -> str:
    """Miss no more what is missing now: messages to such keys cannot be opened, and hold nothing from here on.

    Kept keys open as before. Returns the id of a new current key, which is missed again if it is lost.
    """
    vault.destroy_secret(_MARK)
    return rotate(vault, now)


def gone_by(moment: datetime) -> datetime:
    """Return when every key is destroyed to which a message of before this moment can have been encrypted.

    The clock that the youngest of them was made by may have been ahead by the margin; by more, see :func:`note_ahead`.
    """
    return moment + MARGIN + KEPT + SWEEP


def _mark(vault: Secrets, stamp: str) -> str:
    return hmac.digest(vault.secret(_MARK), stamp.encode(), "sha256").hex()[:_MARK_DIGITS]


def _is_missed(vault: Secrets, kid: str, sent: datetime, now: datetime) -> bool:
    stamp, _, mark = kid.partition("-")
    if not hmac.compare_digest(mark, _mark(vault, stamp)):
        return False
    born = _born(stamp)
    # Given out last at the end of its life, used last when a client's cache ends. The margin is for the broker's clock
    # there, and here for the clock of whoever destroys it.
    return -MARGIN <= sent - born <= KEY_LIFE + CLIENT_CACHE + MARGIN and now - born <= KEPT - MARGIN


def _born(stamp: str) -> datetime:
    return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)


def _counted_from(born: datetime, seen: datetime | None, now: datetime) -> datetime:
    """Return from when on a key's time counts."""
    if seen is None or (born <= now and seen + KEPT < born - MARGIN):
        # It should have been gone before its birth came: who noted it had a clock that was behind.
        return born
    return min(born, seen)


def _seen_ahead(names: Collection[str]) -> dict[str, datetime]:
    """Return key id → when its birth was seen to be still to come."""
    found = (_NOTE.fullmatch(name) for name in names)
    return {noted["kid"]: _born(noted["seen"]) for noted in found if noted}


def _kids(names: Collection[str]) -> dict[str, datetime]:
    found = (_KID.fullmatch(name.removeprefix(_PREFIX)) for name in names if name.startswith(_PREFIX))
    return {matched[0]: _born(matched[1]) for matched in found if matched}
