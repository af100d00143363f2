"""A whole command over HTTP, from the token to the durable event, beside the least that a durable HTTP write can be."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from bench.api_copy import Copy, copy, environment, serving
from bench.database import as_owner
from bench.figures import Figure, Result, Run
from bench.no_op_app import DSN, TABLE
from ops.ports import free_port

SECONDS = 3.0
NOTE = "a no-op endpoint on the same server and framework, set alike, that inserts one plain row by psycopg2"
NOTES = {
    clients: Figure(f"add a note over HTTP, {words}", "ms", 3.0, at_most=True, note=NOTE)
    for clients, words in ((1, "1 client"), (16, "16 clients"))
}
FIGURES = tuple(NOTES.values())


def measure(run: Run) -> Iterator[Result]:
    """Yield mean milliseconds from request to answer, with an idempotency key each, over kept-alive connections."""
    with ExitStack() as stack:
        made = stack.enter_context(copy(run.folder))
        ours, no_op = free_port(), free_port()
        stack.enter_context(_api(made, ours, run.folder))
        stack.enter_context(_no_op(made, no_op, run.folder))
        calls = _calls(made, run.folder)
        for clients, figure in NOTES.items():
            if run.wants(figure):
                once, other = _timed(ours, clients, calls[0]), _timed(no_op, clients, calls[1])
                once()
                other()
                yield figure.alternate(once, other, run.rounds)


def _api(made: Copy, port: int, folder: Path) -> AbstractContextManager[int]:
    settings = {**environment(made.settings), "CASEKEEPER_PORT": str(port)}
    return serving(["cli.main", "api"], port, settings, folder / "api.log")


def _no_op(made: Copy, port: int, folder: Path) -> AbstractContextManager[int]:
    as_owner(made.owner_dsn, TABLE)
    return serving(["bench.no_op_server", str(port)], port, {DSN: made.owner_dsn}, folder / "no-op.log")


def _calls(made: Copy, folder: Path) -> tuple[Path, Path]:
    tokens = [made.token(f"a{n}") for n in range(16)]
    ours, no_op = folder / "ours.json", folder / "no-op.json"
    ours.write_text(json.dumps([(f"/v1/cases/{case}/notes", tokens[n % 16]) for n, case in enumerate(made.cases)]))
    no_op.write_text(json.dumps([("/no-op", tokens[0])]))
    return ours, no_op


def _timed(port: int, clients: int, calls: Path) -> Callable[[], float]:
    def run() -> float:
        command = [sys.executable, "-m", "bench.load", str(port), str(clients), str(SECONDS), "201", str(calls)]
        said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        return 1000 * clients * float(said["seconds"]) / int(said["requests"])

    return run
