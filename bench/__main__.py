"""``python -m bench [--full] [--markdown] [WORD …]``: measures and prints a table of figures.

``--full`` measures all, else the main ones; WORD keeps the figures whose name contains it. ``--markdown`` prints the
table as it stands in docs/performance.md, ``--list`` the same without measuring. ``BENCH_JSON=FILE`` also writes the
figures as a list of objects.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from application.logging import configure
from bench.catalogue import benches, figures
from bench.figures import ROUNDS, Result, Run

HEADINGS = ("figure", "ours", "peer", "unit", "ratio", "goal", "met", "beside")


def measure(run: Run) -> Iterator[Result]:
    """Yield every wanted figure as it comes; each benchmark has a folder of its own."""
    for number, bench in enumerate(benches()):
        if any(run.wants(figure) for figure in bench.FIGURES):
            folder = run.folder / str(number)
            folder.mkdir()
            yield from bench.measure(replace(run, folder=folder))


def row(result: Result) -> tuple[str, ...]:
    """Return a result as the cells of a table."""
    figure = result.figure
    if result.ours is None:
        return (
            figure.name,
            "-",
            "-",
            figure.unit,
            "-",
            _goal(result),
            "skipped" if result.skipped else "-",
            result.skipped or figure.note,
        )
    ratio = "-" if result.ratio is None else f"{result.ratio:.2f}"
    met = {None: "-", True: "yes", False: "**no**"}[result.met]
    return figure.name, _number(result.ours), _number(result.peer), figure.unit, ratio, _goal(result), met, figure.note


def _goal(result: Result) -> str:
    if result.figure.goal is None:
        return "-"
    return f"{'≤' if result.figure.at_most else '≥'} {result.figure.goal:g}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _print(results: list[Result], *, markdown: bool) -> None:
    rows = [row(result) for result in results]
    if markdown:
        for cells in (HEADINGS, ("---", *["---:"] * 2, "---", *["---:"] * 2, "---", "---"), *rows):
            print("| " + " | ".join(cells) + " |")
        return
    table = Table(*HEADINGS)
    for cells in rows:
        table.add_row(*(cell.replace("**", "") for cell in cells))
    Console().print(table)


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    if asked.list:
        _print([figure.skipped("") for figure in figures()], markdown=True)
        return
    configure("warning")
    progress = Console(stderr=True)
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as folder:
        for result in measure(Run(Path(folder), asked.full, asked.rounds, tuple(asked.words))):
            results.append(result)
            progress.print(" · ".join(row(result)[:7]), markup=False)
    _print(results, markdown=asked.markdown)
    if path := os.environ.get("BENCH_JSON"):
        Path(path).write_text(json.dumps([result.to_json() for result in results], indent=2))


if __name__ == "__main__":
    main()
