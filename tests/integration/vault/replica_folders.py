"""What stands in the folders of a keyring of files."""

from __future__ import annotations

import json
from pathlib import Path


def files(folder: Path) -> dict[str, str]:
    """Return the bytes of each key in a folder, in hex, by file."""
    return {path.name: json.loads(path.read_text())["key"] for path in folder.glob("*.key")}


def roots(folder: Path) -> list[int]:
    """Return the epochs of the root keys in a folder."""
    return sorted(int(name[5:17]) for name in files(folder) if name.startswith("root-"))
