"""The README's quick start, typed as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.copy_of_service import Copy

ROOT = Path(__file__).parents[2]


def test_the_quick_start_runs(copy: Copy, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    # The reader's shell has the programs of .venv; the test's has those of the running interpreter.
    script = "\n".join(blocks).replace("source .venv/bin/activate\n", "")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=tmp_path,
        env={**copy.environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=180,
    )

    assert done.returncode == 0, done.stderr + done.stdout
    assert len(blocks) == 7
    assert '"content"' in done.stdout
    assert '"certificate_id"' in done.stdout
    assert "holds" in done.stdout
    assert '"erased"' in done.stdout
