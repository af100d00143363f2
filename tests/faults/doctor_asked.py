"""What ``casekeeper doctor`` says, asked as an operator asks: its own process, beside whatever is broken."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Said:
    """What doctor found that is not well, as ``name`` → ``[(state, found, advice)]``, and its exit status."""

    wrong: Mapping[str, list[tuple[str, str, str]]]
    status: int
    text: str

    def says(self, name: str, found: str, state: str = "failed") -> bool:
        """Return whether a check found this, and said what to do about it."""
        return any(s == state and found in f and len(a) > 3 for s, f, a in self.wrong.get(name, []))


def ask(environment: Mapping[str, str]) -> Said:
    """Ask doctor in the environment of a process of the service."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cli.main", "doctor", "--json"],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    wrong: dict[str, list[tuple[str, str, str]]] = {}
    assert done.stdout, done.stderr
    for check in json.loads(done.stdout)["checks"]:
        if check["state"] != "ok":
            wrong.setdefault(check["name"], []).append((check["state"], check["found"], check["advice"]))
    return Said(wrong, done.returncode, done.stdout + done.stderr)
