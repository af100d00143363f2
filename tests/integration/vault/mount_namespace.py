"""How a program is run in a mount namespace of its own, where a file system can be full or read-only."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress

NAMESPACE = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--user", "--map-root-user", "--mount")


def possible() -> bool:
    """Return whether a file system can be mounted in a namespace here."""
    mounting = [*NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"]
    with suppress(FileNotFoundError):
        return subprocess.run(mounting, capture_output=True, check=False).returncode == 0
    return False
