"""Sets up ``.venv`` in a fresh clone, while Maven fetches Kafka: ``python3 -m ops.prepare local`` (or ``dev``).

Runs with the system's Python and its standard library only.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ops import debian
from ops.errors import LocalServerError

CLONE = Path(__file__).resolve().parent.parent
VENV = CLONE / ".venv"
OLDEST_PYTHON = (3, 11)
_INCLUDES = {"local": ("local",), "dev": ("local", "dev")}


def prepare(extra: str) -> None:
    """Install casekeeper with an extra into ``.venv`` and leave a stamp for ``make``.

    Raises LocalServerError, saying what to do, when Python is too old or something cannot be installed.
    """
    if sys.version_info < OLDEST_PYTHON:
        raise LocalServerError(
            f"Python 3.11 or later is needed, this is {sys.version.split()[0]}: make PYTHON=python3.11"
        )
    fetching = subprocess.Popen([sys.executable, "-m", "ops.kafka.fetch"], cwd=CLONE)
    try:
        if not (VENV / "bin" / "pip").exists():
            _make_venv()
        pip = [str(VENV / "bin" / "pip"), "--disable-pip-version-check", "--quiet", "install"]
        if subprocess.run([*pip, "--editable", f"{CLONE}[{extra}]"], check=False).returncode != 0:
            raise LocalServerError("pip could not install casekeeper, see above")
    finally:
        fetched = fetching.wait()
    if fetched != 0:
        raise LocalServerError("Kafka is not there yet, see above; CASEKEEPER_KAFKA=host:port uses one of your own")
    for included in _INCLUDES[extra]:
        (VENV / f".{included}").touch()


def _make_venv() -> None:
    command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    if subprocess.run(command, capture_output=True, check=False).returncode == 0:
        return
    debian.install(("python3-venv",), "python3 -m venv does not work")
    if subprocess.run(command, check=False).returncode != 0:
        raise LocalServerError("python3 -m venv does not work, see above")


if __name__ == "__main__":
    try:
        prepare(sys.argv[1])
    except LocalServerError as error:
        sys.exit(f"Error: {error}")
