"""Signs what is answered on the outcomes topic, so that its receiver need not believe whoever can write there.

A record is a compact JWS (RFC 7515) under EdDSA (RFC 8037) and the youngest of our outcome keys. Its payload says to
whom it is addressed, and which record of the inbox it answers: by that record's SHA-256, because a message id can be
used again, and what was answered before then is no answer to what was sent after.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from application import eddsa
from application.signing_keys import OUTCOMES, current_key
from consumers.topics import OUTCOMES_RETENTION_MS, OUTCOMES_SEGMENT_MS
from vault.named_secrets import Secrets

MEDIA_TYPE = "casekeeper-outcome+jws"
KEY_LIFE = timedelta(days=30)
"""How long outcomes are signed with a key."""
KEY_KEPT = timedelta(milliseconds=OUTCOMES_RETENTION_MS + OUTCOMES_SEGMENT_MS, hours=1)
"""How long a replaced key is kept and published: the retention of the outcomes topic, one segment, and a margin."""


def signed(body: Mapping[str, Any], message: bytes, vault: Secrets, now: datetime) -> bytes:
    """Return an outcome as it is published; ``message`` is the record of the inbox as it came.

    Raises ``KeysUnavailable``.
    """
    key = current_key(vault, now, OUTCOMES)
    said = {**body, "message_sha256": hashlib.sha256(message).hexdigest()}
    payload = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return eddsa.signed(payload, MEDIA_TYPE, key).encode()
