"""Watches a copy from beside it: that no view ever goes back, and who leads what."""

from __future__ import annotations

import threading
from collections import defaultdict

import psycopg2
from at_work import AtWork, failed
from psycopg2.extensions import parse_dsn

LEADERS = """
SELECT a.application_name, a.pid FROM pg_stat_activity a JOIN pg_locks l USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND a.application_name LIKE 'casekeeper lead %%' AND a.datname = ANY (%s)
"""
"""Who leads, and the server process that holds the lock, in some databases; an application's name says of what."""


class Watch(AtWork):
    """Looks about 30 times a second. ``leaders``: part → the server processes that held its lock, in their order."""

    def __init__(self, events_dsn: str, views_dsn: str, topic_prefix: str) -> None:
        super().__init__("watch")
        self.looks = 0
        self.went_back: list[tuple[str, int, int]] = []
        self.two_led: list[str] = []
        self.leaders: dict[str, list[int]] = defaultdict(list)
        self.positions: dict[str, int] = {}
        self._prefix = f"casekeeper lead {topic_prefix}"
        self._databases = [parse_dsn(dsn)["dbname"] for dsn in (events_dsn, views_dsn)]
        self._connection = psycopg2.connect(views_dsn)
        self._connection.autocommit = True
        self._ending = threading.Event()

    def work(self) -> None:
        with self._connection.cursor() as cursor:
            while not self._ending.wait(0.03):
                cursor.execute("SELECT name, position FROM view_positions")
                for name, position in cursor.fetchall():
                    if position < self.positions.get(name, 0):
                        self.went_back.append((name, self.positions[name], position))
                    self.positions[name] = position
                cursor.execute(LEADERS, (self._databases,))
                self._lead(cursor.fetchall())
                self.looks += 1

    def end(self) -> None:
        """Stop looking; fails when it could not look all the time."""
        self._ending.set()
        wrong = failed([self], 10)
        self._connection.close()
        assert not wrong, wrong

    def _lead(self, found: list[tuple[str, int]]) -> None:
        now = {application.removeprefix(self._prefix): pid for application, pid in found}
        if len(now) < len(found):
            self.two_led.append(str(found))
        for part, pid in now.items():
            if not self.leaders[part] or self.leaders[part][-1] != pid:
                self.leaders[part].append(pid)


def admitted(events_dsn: str) -> bool:
    """Return whether the store takes writes: a relay has compared it with the topic since this server started."""
    connection = psycopg2.connect(events_dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT admitted_for IS NOT DISTINCT FROM log_incarnation() FROM log_head")
            return cursor.fetchone() == (True,)
    finally:
        connection.close()
