"""Clients of the service while it is being broken: every write has a key and is repeated until it is answered.

What a client may be told is decided here, by the contract and not by the service's code: the true answer, or 503 as a
problem document with Retry-After. Anything else is noted as a violation.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from at_work import AtWork, failed
from postgres_stage import Stage

from application.examples import BODIES
from tests.callers import INTAKE_SERVICE, MANAGER, Who

REPLY_SECONDS = 40
FINISH_SECONDS = 30
PROBLEM = "urn:casekeeper:problem:"
OUTAGES = frozenset({"store-unavailable", "outcome-unknown", "keys-unavailable", "views-unavailable", "view-behind"})


@dataclass(frozen=True)
class Reply:
    """An HTTP answer; ``headers`` by their names in small letters."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def slug(self) -> str:
        return str(self.body.get("type", "")).removeprefix(PROBLEM) if isinstance(self.body, dict) else ""


@dataclass(frozen=True)
class Write:
    """A command that was answered: what it was, and the receipt the client got."""

    operation: str
    receipt: Mapping[str, Any]
    at: float
    tries: int


@dataclass
class Told:
    """Everything the clients were told."""

    writes: list[Write] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    reads: int = 0
    longest: float = 0.0


class Http:
    """One keep-alive connection to the API with one token."""

    def __init__(self, stage: Stage, who: Who) -> None:
        self._stage = stage
        self._headers = {"Authorization": f"Bearer {stage.token(*who)}", "Accept": "application/json"}
        self._connection: http.client.HTTPConnection | None = None

    def call(self, method: str, path: str, body: Any = None, key: str | None = None) -> Reply:
        """Send a request and return its answer; ``OSError`` or ``HTTPException`` when there is none."""
        headers = dict(self._headers)
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body)
        if key is not None:
            headers["Idempotency-Key"] = key
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._stage.port, timeout=REPLY_SECONDS)
        try:
            self._connection.request(method, path, data, headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        return Reply(
            answer.status, json.loads(text) if text else None, {k.lower(): v for k, v in answer.headers.items()}
        )

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Client(AtWork):
    """Registers people, opens cases and writes notes, and reads its cases back; the only one who writes them."""

    def __init__(self, stage: Stage, told: Told, stopping: threading.Event, number: int) -> None:
        super().__init__(f"client-{number}")
        self._intake = Http(stage, INTAKE_SERVICE)
        self._manager = Http(stage, MANAGER)
        self._told = told
        self._stopping = stopping
        self._number = number
        self._pause = threading.Event()

    def work(self) -> None:
        """Write and read until the load is told to stop. Raises ``AssertionError`` at an answer that nobody may get."""
        round_number = 0
        while not self._stopping.is_set():
            round_number += 1
            subject = self._write(self._intake, "register_subject", "/v1/subjects", BODIES["register_subject"], 201)
            body = {"subject_id": subject["id"], "kind": "second_opinion"}
            case = self._write(self._intake, "open_case", "/v1/cases", body, 201)
            texts: list[str] = []
            for n in range(4):
                text = f"note {self._number}/{round_number}/{n}"
                noted = self._write(self._manager, "add_note", f"/v1/cases/{case['id']}/notes", {"text": text}, 201)
                texts.append(text)
                if self._stopping.is_set():
                    break
            self._read_back(case["id"], noted["receipt"]["position"], texts)
        self._intake.close()
        self._manager.close()

    def _write(self, http_: Http, operation: str, path: str, body: Any, status: int) -> Any:
        """Repeat a command under one key until it is answered, also after the load has been told to stop."""
        key, tries = str(uuid4()), 0
        while True:
            tries += 1
            reply = self._call(http_, "POST", path, body, key)
            if reply is not None and reply.status == status:
                self._told.writes.append(Write(operation, reply.body["receipt"], time.monotonic(), tries))
                return reply.body
            if reply is not None and reply.status != 503:
                raise AssertionError(f"{operation}: {reply.status} {reply.slug}")
            self._pause.wait(0.1)

    def _read_back(self, case: str, position: int, texts: list[str]) -> None:
        """Read the case once: all its notes, in order, or 503."""
        reply = self._call(self._manager, "GET", f"/v1/cases/{case}?after={position}")
        if reply is None or reply.status == 503:
            return
        self._told.reads += 1
        shown = [note["text"] for note in reply.body["notes"]] if reply.status == 200 else None
        if shown != texts:
            self._told.violations.append(f"read {reply.status} {reply.slug}: {len(texts)} notes written, shown {shown}")

    def _call(self, http_: Http, method: str, path: str, body: Any = None, key: str | None = None) -> Reply | None:
        started = time.monotonic()
        try:
            reply = http_.call(method, path, body, key)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._told.violations.append(f"{method} {path.partition('?')[0]}: no answer ({type(error).__name__})")
            return None
        self._told.longest = max(self._told.longest, time.monotonic() - started)
        if reply.status == 503:
            self._told.refusals[reply.slug] += 1
            self._told.violations += outage_faults(reply)
        elif reply.status >= 400:
            self._told.violations.append(f"{method} answered {reply.status} {reply.slug}")
        return reply


def outage_faults(reply: Reply) -> list[str]:
    """Return what is wrong with a 503."""
    faults = []
    if not reply.headers.get("retry-after", "").isdigit():
        faults.append(f"503 {reply.slug} without Retry-After")
    if reply.headers.get("content-type") != "application/problem+json":
        faults.append(f"503 as {reply.headers.get('content-type')}")
    if reply.slug not in OUTAGES:
        faults.append(f"503 {reply.slug} is no outage")
    return faults


class Load:
    """Several clients at once, for as long as the block lasts; then each finishes what it has begun."""

    def __init__(self, stage: Stage, clients: int = 6) -> None:
        self.told = Told()
        self._stopping = threading.Event()
        self._clients = [Client(stage, self.told, self._stopping, n) for n in range(clients)]
        self._pause = threading.Event()

    def __enter__(self) -> Load:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        wrong = failed(self._clients, FINISH_SECONDS)
        assert not wrong, f"{wrong}; {dict(self.told.refusals)}"

    def go_on(self, writes: int, seconds: float = 30) -> float:
        """Wait until so many more writes were answered and return the seconds it took."""
        started, wanted = time.monotonic(), len(self.told.writes) + writes
        while len(self.told.writes) < wanted:
            assert time.monotonic() - started < seconds, f"no {writes} writes in {seconds} s: {self.told.refusals}"
            self._pause.wait(0.02)
        return time.monotonic() - started

    def run_for(self, seconds: float) -> None:
        """Let the load run."""
        self._pause.wait(seconds)
