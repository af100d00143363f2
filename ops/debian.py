"""Installing Debian packages where the one who asks may: root, or ``sudo`` without a password."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from ops.errors import LocalServerError


def install(packages: Sequence[str], why: str) -> None:
    """Install packages with ``apt-get``; raise LocalServerError, saying what to type, where that cannot be done."""
    hint = f"{why}: install it with: apt-get install {' '.join(packages)}"
    prefix = _as_root()
    if prefix is None or shutil.which("apt-get") is None:
        raise LocalServerError(hint)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    fetch = [*prefix, "apt-get", "install", "-y", "--no-install-recommends", *packages]
    # The lists of packages are refreshed only when the first try fails: that is the slow part.
    for command in (fetch, [*prefix, "apt-get", "update"], fetch):
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode == 0 and command is fetch:
            return
    raise LocalServerError(f"{hint} (tried, apt-get answered {done.returncode})")


def _as_root() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:
        return [sudo, "-n"]
    return None
