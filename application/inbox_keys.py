"""The keys that messages to the inbox are encrypted to: X25519 keys in the keyring, replaced daily, then destroyed.

A key's ``kid`` is its day and moment of birth, so that the names alone say which is current and which are past their
time. A key outlives the last message that can have been encrypted to it and still lie on the topic.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta

from joserfc.jwk import OKPKey

from vault.named_secrets import Secrets

KEY_LIFE = timedelta(days=1)
"""How long new messages are encrypted to a key."""
CLIENT_CACHE = timedelta(hours=1)
"""How long a publisher may keep a key before it asks again."""
TOPIC_KEEPS = timedelta(days=1, hours=1)
"""The longest a message lies on the inbox topic: its retention and one segment."""
MARGIN = timedelta(hours=1)
KEPT = KEY_LIFE + CLIENT_CACHE + TOPIC_KEEPS + MARGIN
"""How long after it was made a key is destroyed."""
SWEEP = timedelta(minutes=5)
"""How late that may be done, while a worker runs: it looks every minute."""

_PREFIX = "inbox-key-"
_STAMP = "%Y%m%d%H%M%S"
_KID = re.compile(r"(\d{14})-[0-9a-f]{8}")


def current_kid(vault: Secrets, now: datetime) -> str:
    """Return the key id to encrypt to, making a key when there is none young enough. Raises ``KeysUnavailable``."""
    born = {kid: at for kid, at in _kids(vault).items() if at <= now < at + KEY_LIFE}
    return max(born, key=lambda kid: (born[kid], kid)) if born else rotate(vault, now)


def current_jwk(vault: Secrets, now: datetime) -> dict[str, str]:
    """Return the public key to encrypt to, as a JWK (RFC 7517, RFC 8037). Raises ``KeysUnavailable``."""
    kid = current_kid(vault, now)
    key = OKPKey.import_key(OKPKey.binding.from_private_bytes("X25519", vault.secret(_PREFIX + kid)))
    public = key.as_dict(private=False)
    return {"kty": "OKP", "crv": "X25519", "x": str(public["x"]), "kid": kid, "use": "enc", "alg": "ECDH-ES+A256KW"}


def private_key(vault: Secrets, kid: str) -> bytes | None:
    """Return a key's 32 bytes; ``None`` when no such key is kept: one that is gone is never made again."""
    if _KID.fullmatch(kid) is None or _PREFIX + kid not in vault.secrets():
        return None
    return vault.secret(_PREFIX + kid)


def rotate(vault: Secrets, now: datetime) -> str:
    """Make a new current key and return its id."""
    kid = f"{now.astimezone(UTC).strftime(_STAMP)}-{secrets.token_hex(4)}"
    vault.secret(_PREFIX + kid)
    return kid


def destroy_expired(vault: Secrets, now: datetime) -> list[str]:
    """Destroy the keys to which no message can still lie on the topic; return their ids."""
    expired = [kid for kid, born in _kids(vault).items() if now - born > KEPT]
    for kid in expired:
        vault.destroy_secret(_PREFIX + kid)
    return expired


def gone_by(moment: datetime) -> datetime:
    """Return when every key is destroyed to which a message of before this moment can have been encrypted."""
    return moment + KEPT + SWEEP


def _kids(vault: Secrets) -> dict[str, datetime]:
    found = {}
    for name in vault.secrets():
        matched = _KID.fullmatch(name.removeprefix(_PREFIX)) if name.startswith(_PREFIX) else None
        if matched is not None:
            found[matched[0]] = datetime.strptime(matched[1], _STAMP).replace(tzinfo=UTC)
    return found
