"""PostgreSQL on a file system of a few megabytes: a tmpfs in a mount namespace of its own.

Run as a program it is the process inside the namespace: it makes the file system, runs the cluster on it, and obeys
lines on its standard input. Nothing of the machine's own file systems is touched, and the kernel takes the small one
away with the last process that uses it. Works for root, and for others where user namespaces are allowed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psycopg2
from mount_namespace import NAMESPACE
from postgres_stage import Server
from psycopg2.extensions import connection as Connection

from ops.postgres import ADMINISTRATOR
from ops.processes import end_child
from ops.roles import API, OWNER, WORKER

MEGABYTES = 256


class SmallDiskServer(Server):
    """The cluster of one database on a small disk; it is started again by :meth:`start` when it has ended."""

    def __init__(self, folder: Path, store: str) -> None:
        super().__init__(folder, store)
        self._dsns: dict[str, str] = {}
        disk = folder / f"{store}-disk"
        disk.mkdir(parents=True)
        command = [*NAMESPACE, sys.executable, __file__, str(disk), store, str(self.log)]
        self._inside = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": _path()}
        )

    def start(self) -> None:
        self._dsns = self._ask("start")

    def stop(self) -> None:
        self._ask("stop")

    def close(self) -> None:
        """End the server, if it runs, and the process inside the namespace."""
        self._ask("stop")
        end_child(self._inside)

    def break_off(self) -> None:
        self._ask("break_off")

    def ended(self) -> bool:
        return bool(self._ask("ended"))

    def make_standby(self) -> None:
        self._ask("make_standby")

    def provision(self) -> None:
        self._ask("provision")

    def administrator(self) -> Connection:
        connection = psycopg2.connect(self.dsn(ADMINISTRATOR), connect_timeout=5)
        connection.autocommit = True
        return connection

    def dsn(self, role: str) -> str:
        return self._dsns[role]

    def fill(self) -> None:
        """Take all that is left of the disk."""
        self._ask("fill")

    def empty(self) -> None:
        """Give back what :meth:`fill` took."""
        self._ask("empty")

    def _ask(self, what: str) -> object:
        assert self._inside.stdin is not None
        assert self._inside.stdout is not None
        self._inside.stdin.write(f"{what}\n")
        self._inside.stdin.flush()
        return json.loads(self._inside.stdout.readline())


class Inside:
    """What runs in the namespace; each method answers one line."""

    def __init__(self, disk: Path, store: str, log: Path) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m,mode=700", "none", str(disk)], check=True)
        self._disk = disk
        self._ballast = disk / "ballast"
        self._server = Server(disk, store)
        self._server.log = log

    def start(self) -> dict[str, str]:
        self._server.start()
        return {role: self._server.dsn(role) for role in (ADMINISTRATOR, OWNER, API, WORKER)}

    def stop(self) -> None:
        self._server.stop()

    def break_off(self) -> None:
        self._server.break_off()

    def ended(self) -> bool:
        return self._server.ended()

    def make_standby(self) -> None:
        self._server.make_standby()

    def provision(self) -> None:
        self._server.provision()
        for setting in ("max_wal_size = '64MB'", "min_wal_size = '32MB'"):
            self._server.run(f"ALTER SYSTEM SET {setting}")
        self._server.run("SELECT pg_reload_conf()")

    def fill(self) -> None:
        with open(self._ballast, "ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    def empty(self) -> None:
        self._ballast.unlink(missing_ok=True)


def _path() -> str:
    return os.pathsep.join([str(Path(__file__).parent), *sys.path])


if __name__ == "__main__":
    inside = Inside(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
    for line in sys.stdin:
        print(json.dumps(getattr(inside, line.strip())()), flush=True)
    inside.stop()
