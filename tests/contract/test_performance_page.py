"""docs/performance.md and ``bench`` name the same figures."""

from __future__ import annotations

import re
from pathlib import Path

from bench.catalogue import figures

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


def named() -> list[str]:
    """The first cells of the table of figures."""
    _, rest = PAGE.read_text().split("<!-- figures", 1)
    table, _ = rest.split("<!-- end of figures -->", 1)
    cells = re.findall(r"^\| ([^|]+?) \|", table, re.MULTILINE)
    return [cell for cell in cells if cell != "figure" and set(cell) - set("-: ")]


def test_every_figure_on_the_page_is_measured() -> None:
    assert named()
    assert set(named()) <= {figure.name for figure in figures()}


def test_every_figure_with_a_goal_is_on_the_page() -> None:
    assert {figure.name for figure in figures() if figure.goal is not None} <= set(named())


def test_no_two_figures_have_one_name() -> None:
    names = [figure.name for figure in figures()]
    assert len(names) == len(set(names))


def test_every_figure_with_a_goal_has_been_measured() -> None:
    unmeasured = {line.split(" | ")[0].strip("| ") for line in PAGE.read_text().splitlines() if "| - | - |" in line}
    assert {figure.name for figure in figures() if figure.goal is not None} & unmeasured == set()
