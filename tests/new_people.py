"""Bodies of registrations that resemble no other: somebody erased is noticed when they are brought in again."""

from __future__ import annotations

import secrets
from typing import Any

from application.examples import BODIES


def new_person(**identity: Any) -> dict[str, Any]:
    """Return the example's body with an e-mail address of its own and without a date of birth."""
    body = BODIES["register_subject"]
    own = {"birth_date": None, "email": f"{secrets.token_hex(8)}@example.org"}
    return {**body, "identity": {**body["identity"], **own, **identity}}
