"""Porcupine, the external checker (a Go module): built and run, where Go is present and the module can be had."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

MODULE = Path(__file__).parent
PATIENCE_SECONDS = 300


@dataclass(frozen=True)
class Verdict:
    """What Porcupine says of a history: names of objects that are not linearizable, or that took too long."""

    objects: int
    operations: int
    illegal: tuple[str, ...]
    undecided: tuple[str, ...]


def build(program: Path) -> str | None:
    """Build the checker; return ``None``, or why it cannot be built here."""
    if shutil.which("go") is None:
        return "no Go on this machine"
    built = subprocess.run(
        ["go", "build", "-o", str(program), "."], cwd=MODULE, capture_output=True, text=True, check=False
    )
    return None if built.returncode == 0 else f"go build failed: {built.stderr.strip()[-300:]}"


def check(program: Path, history: Path) -> Verdict:
    """Check a history file. Raises ``RuntimeError`` when the checker could not read it."""
    with open(history, "rb") as lines:
        ran = subprocess.run(
            [program], stdin=lines, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
    if ran.returncode not in (0, 1):
        raise RuntimeError(f"the checker ended with status {ran.returncode}: {ran.stderr.strip()[-300:]}")
    said = json.loads(ran.stdout.splitlines()[-1])
    return Verdict(said["objects"], said["operations"], tuple(said["illegal"]), tuple(said["undecided"]))
