"""``python -m bench [--full]``: prints a table; ``BENCH_JSON=FILE`` also writes it as a list of objects."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import append, sealing
from bench.figures import Figure

ROUNDS, FULL_ROUNDS = 3, 9


def run(folder: Path, rounds: int) -> Iterator[Figure]:
    """Yield every figure."""
    yield from sealing.figures(rounds)
    yield from append.figures(folder, rounds)


def main() -> None:
    """Measure, print, and write what was asked for."""
    rounds = FULL_ROUNDS if "--full" in sys.argv else ROUNDS
    table = Table("what", "ours", "peer", "unit", "ratio", "goal", "met")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for figure in run(Path(folder), rounds):
            found.append(figure.to_json())
            met = "yes" if found[-1]["met"] else "no"
            shown = (f"{figure.ours:,.0f}", f"{figure.peer:,.0f}", figure.unit, f"{figure.ratio:.2f}", f"{figure.goal}")
            table.add_row(figure.name, *shown, met)
    Console().print(table)
    if path := os.environ.get("BENCH_JSON"):
        Path(path).write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
