"""Ending what a supervisor left behind when it was killed itself.

A process is ours only if its pid *and* its start match what was recorded, or if it is in a recorded process's session
and carries that run's id in its environment. Nothing else is touched.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence

from ops import postgres
from ops.kafka import broker
from ops.processes import ProcessIdentity, end_left_over, environment_of, session_members
from ops.runtime import RUN_ID, Runtime

_SERVICE: Sequence[tuple[signal.Signals, float]] = ((signal.SIGTERM, 5.0),)
_SERVER: dict[str, Sequence[tuple[signal.Signals, float]]] = {
    "kafka": broker.STOP,
    "pg-main": postgres.STOP,
    "pg-keys": postgres.STOP,
}


def end_left_overs(runtime: Runtime) -> list[str]:
    """End the recorded processes that still run, servers last; return the names of those that did."""
    ended = []
    for process in sorted(runtime.processes, key=lambda recorded: recorded.name in _SERVER):
        identity = process.identity
        if identity is not None and end_left_over(identity, _SERVER.get(process.name, _SERVICE)):
            ended.append(process.name)
        if process.pid is not None and end_session(process.pid, runtime.run_id):
            ended.append(f"{process.name} (a child of it)")
    return ended


def end_session(session: int, run_id: str) -> int:
    """End the processes of this run in a session whose leader has ended; return how many there were."""
    return sum(end_left_over(member, _SERVICE) for member in _of_run(session, run_id))


def _of_run(session: int, run_id: str) -> Iterator[ProcessIdentity]:
    for member in session_members(session):
        if run_id and environment_of(member.pid).get(RUN_ID) == run_id:
            yield member
