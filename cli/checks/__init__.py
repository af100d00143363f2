"""The checks of ``casekeeper doctor``: each looks at what the service depends on, changes nothing, and says what to do.

They run side by side, so that one server which hangs does not hide what else is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Thread
from time import monotonic

from application.settings import Settings
from cli.checks.certificates import certificates
from cli.checks.databases import EMBEDDED_CLUSTER, clock, database
from cli.checks.finding import Finding
from cli.checks.kafka import kafka, relay, topics
from cli.checks.keyring import keyring
from cli.checks.machine import disk, java, maven, swap
from cli.checks.server_logs import server_logs
from cli.checks.stores import admission, migrations
from cli.checks.variables import variables
from cli.checks.workers import api, workers
from domain.errors import CasekeeperError

LONGEST_SECONDS = 18.0
Check = Callable[[Settings], Iterator[Finding]]

CHECKS: dict[str, Check] = {
    **{field.removesuffix("_dsn"): database(field) for field in EMBEDDED_CLUSTER},
    "server logs": server_logs,
    "migrations": migrations,
    "writes": admission,
    "keyring": keyring,
    "kafka": kafka,
    "topics": topics,
    "relay": relay,
    "workers": workers,
    "api": api,
    "certificates": certificates,
    "clock": clock,
    "disk": disk,
    "swap": swap,
    "java": java,
    "maven": maven,
    "variables": variables,
}
SENDS_NO_SECRET = ("certificates", "disk", "swap", "java", "maven", "variables")
"""Checks that send no secret anywhere."""


def findings(settings: Settings) -> Iterator[Finding]:
    """Run every check and yield what they found, in their order.

    Where a connection would lead to another machine in the clear and none is allowed to, no server is signed in to.
    """
    names = SENDS_NO_SECRET if settings.in_clear() and not settings.clear_allowed else tuple(CHECKS)
    asked = {name: _Asked(name, CHECKS[name], settings) for name in names}
    deadline = monotonic() + LONGEST_SECONDS
    for name, asking in asked.items():
        asking.join(max(0.0, deadline - monotonic()))
        if asking.is_alive():
            yield Finding(
                name, "failed", f"no answer within {LONGEST_SECONDS:.0f} s", "it hangs: see its log, restart it"
            )
        elif isinstance(asking.error, CasekeeperError):
            yield Finding(name, "failed", str(asking.error), "correct what it names")
        elif asking.error is not None:
            raise asking.error
        else:
            yield from asking.found


class _Asked(Thread):
    """A check under way; one that hangs does not keep the program from ending."""

    def __init__(self, name: str, check: Check, settings: Settings) -> None:
        super().__init__(name=f"doctor {name}", daemon=True)
        self.found: list[Finding] = []
        self.error: Exception | None = None
        self._check = check
        self._settings = settings
        self.start()

    def run(self) -> None:
        """Run the check."""
        try:
            self.found = list(self._check(self._settings))
        except Exception as error:
            self.error = error
