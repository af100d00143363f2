"""A whole copy of the service as its users meet it: started by ``casekeeper up``, called over HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.keyrings import setting_for

CASEKEEPER = str(Path(sys.executable).with_name("casekeeper"))


@dataclass(frozen=True)
class Reply:
    """An HTTP answer: status, JSON body, headers."""

    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass
class Copy:
    """One running copy in a home folder of its own."""

    home: Path
    demo: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None
    _tokens: dict[tuple[str, str, str], str] = field(default_factory=dict)
    url: str = ""

    @property
    def environment(self) -> dict[str, str]:
        own = {"CASEKEEPER_HOME": str(self.home), "CASEKEEPER_DEMO": "1" if self.demo else "0"}
        return {**os.environ, **own, **setting_for(self.home), **self.settings}

    def start(self, timeout: float = 120) -> None:
        with open(self.home.with_suffix(".log"), "ab") as log:
            self._process = subprocess.Popen(
                [CASEKEEPER, "up"], env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + timeout
        while not self._ready():
            assert self._process.poll() is None, self.home.with_suffix(".log").read_text()
            if time.monotonic() > deadline:
                self.stop()
                raise AssertionError("not ready in time")
            time.sleep(0.2)

    def stop(self, with_signal: int = signal.SIGINT, timeout: float = 60) -> int:
        assert self._process is not None
        self._process.send_signal(with_signal)
        return self._process.wait(timeout)

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [CASEKEEPER, *arguments], env=self.environment, capture_output=True, text=True, check=check, timeout=300
        )

    def status(self) -> dict[str, Any]:
        return json.loads(self.run("status", "--json", check=False).stdout)

    @property
    def kafka(self) -> str:
        """Return the addresses of Kafka's servers."""
        return str(json.loads((self.home / "runtime.json").read_text())["environment"]["CASEKEEPER_KAFKA"])

    def token(self, role: str, purpose: str, actor: str) -> str:
        key = (role, purpose, actor)
        if key not in self._tokens:
            answer = self.run("token", "--role", role, "--actor", actor, "--purpose", purpose)
            self._tokens[key] = answer.stdout.strip()
        return self._tokens[key]

    def call(self, who: tuple[str, str, str] | None, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Call the API as (role, purpose, actor)."""
        sent = {"Accept": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
        if who is not None:
            sent["Authorization"] = f"Bearer {self.token(*who)}"
        data = None
        if body is not None:
            sent["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
            sent.setdefault("Idempotency-Key", str(uuid4()))
        request = urllib.request.Request(self.url + path, data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Reply(answer.status, _json(answer.read()), dict(answer.headers))
        except urllib.error.HTTPError as error:
            return Reply(error.code, _json(error.read()), dict(error.headers))

    def _ready(self) -> bool:
        status = self.run("status", "--json", check=False)
        try:
            said = json.loads(status.stdout)
        except ValueError:
            return False
        self.url = said.get("url") or ""
        return bool(said.get("ready"))


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")
