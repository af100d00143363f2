"""A process that keeps keys in memory: entered in the keys cluster, on a lease, and told when keys are recalled.

The lease is renewed every half second, on a connection of its own that also listens. Kept keys are used only while the
lease runs, counted from *before* the renewal was sent, on the clock that runs on while the machine or the process is
stopped. Every renewal answers which recall was the last, so a notification that got lost costs half a second at most.
A renewal that arrives after a recall was committed tells of it; hence a holder that has not obeyed when the time of a
lease has passed since then uses no kept key any more, whatever became of it.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Collection
from contextlib import closing, suppress
from multiprocessing.util import Finalize
from uuid import UUID, uuid4

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from domain.errors import KeysUnavailable
from postgres.waiting import readable
from vault import boottime, recall_rows
from vault.connections import connect

LEASE_SECONDS = 2.0
"""How long kept keys are used without a word from the keys cluster."""
_BEAT_SECONDS = 0.5
_LONGEST_PAUSE = 5.0

Drop = Callable[[Collection[UUID] | None], None]


class Holder:
    """Keeps a lease from :meth:`start` to :meth:`stop`, in a thread. ``drop`` forgets the keys of people, or all."""

    def __init__(self, dsn: str, drop: Drop) -> None:
        self._dsn = dsn
        self._drop = drop
        self._until = float("-inf")
        self._stopping = threading.Event()
        self._sockets: tuple[socket.socket, socket.socket] | None = None
        self._thread: threading.Thread | None = None
        self._at_exit: Finalize | None = None

    def leased(self) -> bool:
        """Return whether kept keys may be used now."""
        return boottime.now() < self._until

    def start(self) -> None:
        """Enter this process, and keep it entered; returns at once."""
        if self._thread is None:
            self._sockets = socket.socketpair()
            self._thread = threading.Thread(target=self._run, name="key holder", daemon=True)
            self._thread.start()
            # Unlike ``atexit`` this is also run at the end of a process that was forked for a server's worker.
            self._at_exit = Finalize(None, self.stop, exitpriority=0)

    def stop(self) -> None:
        """Give the lease back, all keys dropped."""
        self._stopping.set()
        if self._thread is not None and self._sockets is not None:
            woken, wake = self._sockets
            wake.send(b"x")
            self._thread.join(_LONGEST_PAUSE)
            if not self._thread.is_alive():
                self._sockets = None
                woken.close()
                wake.close()
        if self._at_exit is not None:
            self._at_exit.cancel()

    def _run(self) -> None:
        pause = _BEAT_SECONDS
        while not self._stopping.is_set():
            with suppress(psycopg2.Error, OSError, KeysUnavailable):
                self._hold()
            pause = _BEAT_SECONDS if self._until > float("-inf") else min(_LONGEST_PAUSE, pause * 2)
            # What was recalled meanwhile is not known.
            self._until = float("-inf")
            self._drop(None)
            self._stopping.wait(pause)

    def _hold(self) -> None:
        """Keep a lease until told to stop or no longer entered. Driver errors pass through."""
        holder_id = uuid4()
        with closing(connect(self._dsn)) as connection, connection.cursor() as cursor:
            cursor.execute(f"LISTEN {recall_rows.CHANNEL}")
            obeyed = recall_rows.register(cursor, holder_id)
            # A renewal that a crash of the server loses costs a lease, no more.
            cursor.execute("SET synchronous_commit = off")
            while not self._stopping.is_set():
                sent = boottime.now()
                latest = recall_rows.beat(cursor, holder_id, obeyed)
                if latest is None:
                    return
                if latest > obeyed:
                    self._obey(cursor, obeyed, latest)
                    obeyed = latest
                    continue
                self._until = sent + LEASE_SECONDS
                self._wait(connection)
            self._until = float("-inf")
            self._drop(None)
            recall_rows.leave(cursor, holder_id)

    def _wait(self, connection: Connection) -> None:
        """Wait for a notification, for the next renewal to be due, or to be told to stop."""
        assert self._sockets is not None
        woken, _ = self._sockets
        connection.poll()
        if not connection.notifies:
            if woken in readable([connection, woken], _BEAT_SECONDS):
                woken.recv(1)
            connection.poll()
        connection.notifies.clear()

    def _obey(self, cursor: Cursor, after: int, up_to: int) -> None:
        self._drop(recall_rows.recalled_people(cursor, after, up_to))
