"""What root keys and secrets are called in a keyring: in a device as here, in a folder with ``.key`` behind."""

from __future__ import annotations

import re
from uuid import UUID

from vault.keyring import RootRef

_ROOT = re.compile(r"root-(\d{12})-([0-9a-f]{32})")
_SECRET = re.compile(r"secret-([a-z0-9][a-z0-9._-]{0,99})")


def root_name(ref: RootRef) -> str:
    """Return what a root key is called."""
    return f"root-{ref.epoch:012d}-{ref.key_id.hex}"


def root_named(name: str) -> RootRef | None:
    """Return the root key that is called so, ``None`` when none is."""
    match = _ROOT.fullmatch(name)
    return RootRef(int(match[1]), UUID(match[2])) if match else None


def secret_name(secret: str) -> str:
    """Return what a secret is called. Raises ``ValueError`` unless it is 1 to 100 of ``a-z0-9._-``, no sign first."""
    name = f"secret-{secret}"
    if not _SECRET.fullmatch(name):
        raise ValueError("not a name for a secret")
    return name


def secret_named(name: str) -> str | None:
    """Return the secret that is called so, ``None`` when none is."""
    match = _SECRET.fullmatch(name)
    return match[1] if match else None
