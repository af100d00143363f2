"""Where the stores of the service are whose commands the inbox takes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from vault.keyring_location import KeyringLocation


class ServiceStores(NamedTuple):
    """Connection strings of events and keys, the keyring, and the folder of the key change log."""

    events_dsn: str
    keys_dsn: str
    keyring: KeyringLocation
    keys_log: Path
