"""The runbooks, their commands typed as they stand against a running copy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.e2e.copy_of_service import Copy
from tests.keyrings import of_files

FOLDER = Path(__file__).parents[2] / "docs" / "runbooks"


def blocks(page: str) -> list[str]:
    found = re.findall(r"^( *)```sh\n(.*?)^\1```", (FOLDER / page).read_text(), re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for _, block in found]


def typed(copy: Copy, script: str, **variables: str) -> str:
    """Run a block as an operator would and return what it printed; it must end well."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-u", "-o", "pipefail", "-c", script],
        env={**copy.environment, "PATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_every_block_of_every_runbook_is_run_here() -> None:
    assert {page.name: len(blocks(page.name)) for page in FOLDER.glob("*.md") if blocks(page.name)} == {
        "keyring-loss.md": 2,
        "hsm-change.md": 2,
        "restore.md": 1,
        "stuck-erasure.md": 2,
    }


@of_files
def test_a_lost_keyring(copy: Copy) -> None:
    look, give_up = blocks("keyring-loss.md")

    said = typed(copy, look)
    given_up = typed(copy, give_up)

    assert re.search(rf"^ok +keyring +{re.escape(str(copy.home / 'keyring'))}$", said, re.MULTILINE)
    assert '"ready": true' in said
    assert re.fullmatch(
        r"missing inbox keys are given up; new messages are encrypted to \d{14}-[0-9a-f]{16}\n", given_up
    )


@of_files
def test_a_keyring_that_moves(copy: Copy, tmp_path: Path) -> None:
    """The copy's own keyring stays where it is: the one that is destroyed is the one that was made."""
    move, destroy = blocks("hsm-change.md")
    old, new = copy.home / "keyring", tmp_path / "new"
    before = {path.name: path.read_bytes() for path in old.iterdir()}

    said = typed(copy, move, OLD=str(old), NEW=str(new))
    kept = {path.name: path.read_bytes() for path in new.iterdir()}
    os.link(next(new.glob("root-*.key")), tmp_path / "same blocks")
    typed(copy, destroy, OLD=str(new))

    assert re.search(rf"^ok +keyring +{re.escape(str(new))}$", said, re.MULTILINE)
    assert kept == before
    assert not new.exists()
    assert set((tmp_path / "same blocks").read_bytes()) <= {0}
    assert {path.name: path.read_bytes() for path in old.iterdir()} == before


def test_a_backup(copy: Copy, tmp_path: Path) -> None:
    [back_up] = blocks("restore.md")

    said = typed(copy, back_up, BACKUPS=str(tmp_path))

    assert (tmp_path / "2026-11-27" / "MANIFEST.json").exists()
    assert re.search(r"^ok +change log +generation 2, \d+ bytes, complete$", said, re.MULTILINE)


@pytest.mark.parametrize("number", [0, 1])
def test_a_stuck_erasure(copy: Copy, number: int) -> None:
    said = typed(copy, blocks("stuck-erasure.md")[number])

    assert said
