"""What make runs: every folder of tests is among those that pytest looks through."""

from __future__ import annotations

import configparser
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_folder_of_tests_is_looked_through() -> None:
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    folders = {f"tests/{path.relative_to(ROOT / 'tests').parts[0]}" for path in (ROOT / "tests").rglob("test_*.py")}

    assert set(settings["tool:pytest"]["testpaths"].split()) == folders
