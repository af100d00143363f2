"""Reads what the service answers: a compact JWS (RFC 7515) under EdDSA (RFC 8037) and a key that the service publishes.

Anybody may be able to write to the topic, so a record says nothing before its signature was checked with a key that
did not come with it. One algorithm is known here: with ``none``, or a MAC under our public key, a record is not ours.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.jwk import OKPKey
from joserfc.jws import JWSRegistry

from casekeeper_client.outcome_types import Accepted, Outcome, Rejected
from casekeeper_client.sealing import JWS_ALG

MEDIA_TYPE = "casekeeper-outcome+jws"

_REGISTRY = JWSRegistry(algorithms=[JWS_ALG])


class NoClaim(Exception):
    """A record has not the form of a signed outcome."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a record says before it was verified: to whom, about which message, under which key.

    ``message_sha256``: of the record of the inbox that is answered. Of the rest only the record's bytes are kept:
    as objects they take many times as much, and whoever may write to the topic chooses them.
    """

    publisher_id: str
    message_id: str
    message_sha256: str
    kid: str
    _value: bytes

    @property
    def size(self) -> int:
        """Return the bytes of memory that it takes."""
        kept = self.publisher_id, self.message_id, self.message_sha256, self.kid, self._value
        return sum(map(sys.getsizeof, (self, *kept)))

    def verified(self, key: OKPKey) -> Outcome | None:
        """Return what the service said; ``None`` when it was not the holder of this key who said it."""
        try:
            signature = jws.extract_compact(self._value, registry=_REGISTRY)
            if not jws.validate_compact(signature, key, registry=_REGISTRY):
                return None
            return _outcome(json.loads(signature.payload))
        except Exception:
            # Whatever the libraries make of hostile input, it is no signature.
            return None


def claimed(value: bytes | None) -> Claim:
    """Return what a record says, unverified. Raises :class:`NoClaim`."""
    try:
        signature = jws.extract_compact(value or b"", registry=_REGISTRY)
        header, said = signature.headers(), json.loads(signature.payload)
        if header.keys() != {"alg", "kid", "typ"} or (header["alg"], header["typ"]) != (JWS_ALG, MEDIA_TYPE):
            raise NoClaim
        to, message_id, answered = (said[name] for name in ("publisher_id", "message_id", "message_sha256"))
        if not all(isinstance(name, str) for name in (header["kid"], to, message_id, answered)):
            raise NoClaim
        _outcome(said)
        return Claim(to, message_id, answered, header["kid"], value or b"")
    except NoClaim:
        raise
    except Exception:
        # As above: the libraries raise errors of many kinds.
        raise NoClaim from None


def _outcome(said: Any) -> Outcome:
    """Return the outcome in a payload. Raises :class:`NoClaim`, or what comes of another form."""
    if said["status"] == "accepted" and isinstance(said["answer"]["receipt"]["position"], int):
        return Accepted(said["message_id"], said["answer"])
    if said["status"] == "rejected" and all(isinstance(said["problem"][name], str) for name in ("type", "title")):
        return Rejected(said["message_id"], said["problem"])
    raise NoClaim
