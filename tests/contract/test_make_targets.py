"""What make runs: every folder of tests is in one of its targets."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_folder_of_tests_is_run_by_check_or_by_test() -> None:
    [listed] = re.findall(r"^TESTS := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    folders = {f"tests/{path.relative_to(ROOT / 'tests').parts[0]}" for path in (ROOT / "tests").rglob("test_*.py")}

    assert {*listed.split(), "tests/contract"} == folders
    assert set(settings["tool:pytest"]["testpaths"].split()) == folders
