"""HTTP clients of other people's making: they repeat a call with its key until it is answered, and keep a journal."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from at_work import AtWork
from load_copy import RunningCopy
from load_journal import Journal

from application.examples import BODIES
from tests.callers import INTAKE_SERVICE, MANAGER, OFFICER, PERSON, SECOND_MANAGER, SECOND_OFFICER, Who
from tests.new_people import new_person

_PATIENCE_SECONDS = 120.0
_REFUSED = frozenset({403, 404, 409, 410, 422})


class Caller:
    """Calls the copy's API processes as any client would, the next one when a connection breaks.

    ``gives_up``: how often it never asks again after its connection broke, so that a command stays unacknowledged;
    ``asks_again``: how often it repeats a call that was answered, to see that it gets the same answer.
    """

    def __init__(
        self,
        copy: RunningCopy,
        ports: Sequence[int],
        journal: Journal,
        chance: random.Random,
        *,
        gives_up: float = 0.0,
        asks_again: float = 0.0,
    ) -> None:
        self.journal = journal
        self.chance = chance
        self._copy = copy
        self._ports = list(ports)
        self._gives_up = gives_up
        self._asks_again = asks_again

    def do(self, who: Who, path: str, body: Mapping[str, Any] | None = None, *, repeat: bool = True) -> Any:
        """Send a command until it is answered; return the answer, or ``None``: refused, or given up.

        Without ``repeat`` each attempt is a command of its own, as ``GET …/preview`` is: it takes no key.
        """
        mark, key, until, again = str(uuid4()), str(uuid4()), time.monotonic() + _PATIENCE_SECONDS, False
        while time.monotonic() < until:
            self.journal.note("sent", mark, command=path.rpartition("/")[2])
            method = "POST" if repeat else "GET"
            headers = {"X-Request-Id": mark, **({"Idempotency-Key": key} if repeat else {})}
            try:
                status, answer = self.send(who, method, path, body if repeat else None, headers)
            except ConnectionRefusedError:
                self.journal.note("unreached", mark)
                status, answer = 0, {}
            except (OSError, http.client.HTTPException):
                self.journal.note("lost", mark)
                if self.chance.random() < self._gives_up:
                    return None
                status, answer = 0, {}
            if 200 <= status < 300:
                self.journal.note("answered", mark, command=path.rpartition("/")[2], receipt=answer["receipt"])
                if again or not repeat or self.chance.random() >= self._asks_again:
                    return answer
                again = True
                continue
            if status in _REFUSED and not str(answer["type"]).endswith(":concurrency-conflict"):
                self.journal.note("refused", mark, status=status, type=answer["type"])
                return None
            if status not in (0, 409, 503):
                self.journal.note("strange", mark, status=status)
                raise AssertionError(f"status {status} to {path}: {answer.get('type', 'no problem document')}")
            mark = mark if repeat else str(uuid4())
            time.sleep(0.1)
        raise AssertionError(f"no answer to {path} in {_PATIENCE_SECONDS} s")

    def send(self, who: Who, method: str, path: str, body: Any, headers: Mapping[str, str]) -> tuple[int, Any]:
        """Make one call; raises ``OSError`` or ``HTTPException`` when the connection breaks."""
        bearer = {"Authorization": f"Bearer {self._copy.token(*who)}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self._ports[0], timeout=20)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {**bearer, **headers})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            self._ports.append(self._ports.pop(0))
            raise
        finally:
            connection.close()


@dataclass
class Known:
    """What the clients know there is, shared by all: cases that several work on, and whom one may disclose to."""

    people: list[str] = field(default_factory=list)
    cases: list[str] = field(default_factory=list)
    tasks: list[tuple[str, str]] = field(default_factory=list)
    intakes: list[tuple[str, str]] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)


class Client(AtWork):
    """Works on shared people and cases, in an order of its own, until told to stop; ``error``: what it could not do.

    People who are erased, and disclosures that are released, are its own: there a late answer would differ by right.
    """

    def __init__(self, caller: Caller, known: Known, stop: threading.Event) -> None:
        super().__init__("client")
        self._caller = caller
        self._known = known
        self._chance = caller.chance
        self._stopping = stop

    def work(self) -> None:
        """Do one thing after another."""
        doings = [self.register, self.open_case, self.intake, self.amend, self.note, self.note, self.assign, self.task]
        doings += [self.complete, self.consent, self.disclose, self.close_case, self.ask, self.erase, self.look]
        while not self._known.recipients:
            self.agree()
        while not self._stopping.is_set():
            self._chance.choice(doings)()

    def agree(self) -> None:
        if made := self._caller.do(OFFICER, "/v1/agreements", BODIES["register_agreement"]):
            self._known.recipients.append(made["recipient_id"])

    def register(self, *, shared: bool = True) -> str | None:
        made = self._caller.do(INTAKE_SERVICE, "/v1/subjects", new_person())
        if made and shared:
            self._known.people.append(made["id"])
        return made["id"] if made else None

    def open_case(self, subject: str | None = None) -> str | None:
        of = subject or self._any(self._known.people)
        made = of and self._caller.do(INTAKE_SERVICE, "/v1/cases", {"subject_id": of, "kind": "second_opinion"})
        if made and subject is None:
            self._known.cases.append(made["id"])
        return made["id"] if made else None

    def intake(self, case: str | None = None) -> None:
        of = case or self._any(self._known.cases)
        made = of and self._caller.do(INTAKE_SERVICE, f"/v1/cases/{of}/intakes", BODIES["submit_intake"])
        if made and case is None:
            self._known.intakes.append((of, made["id"]))

    def amend(self) -> None:
        if chosen := self._any(self._known.intakes):
            self._caller.do(PERSON, f"/v1/cases/{chosen[0]}/intakes/{chosen[1]}/amendments", BODIES["amend_intake"])

    def note(self) -> None:
        if case := self._any(self._known.cases):
            self._caller.do(MANAGER, f"/v1/cases/{case}/notes", BODIES["add_note"])

    def assign(self) -> None:
        if case := self._any(self._known.cases):
            self._caller.do(MANAGER, f"/v1/cases/{case}/assignments", {"assignee": f"m{self._chance.randrange(99)}"})

    def task(self) -> None:
        case = self._any(self._known.cases)
        if made := case and self._caller.do(MANAGER, f"/v1/cases/{case}/tasks", BODIES["add_task"]):
            self._known.tasks.append((case, made["id"]))

    def complete(self) -> None:
        if chosen := self._any(self._known.tasks):
            self._caller.do(MANAGER, f"/v1/cases/{chosen[0]}/tasks/{chosen[1]}/completion", {})

    def close_case(self) -> None:
        if len(self._known.cases) > 20 and self._chance.random() < 0.3:
            self._caller.do(MANAGER, f"/v1/cases/{self._any(self._known.cases)}/closure", BODIES["close_case"])

    def consent(self) -> None:
        if subject := self._any(self._known.people):
            decision = self._chance.choice(["granted", "refused", "asked"])
            path, terms = f"/v1/subjects/{subject}/consents", self._terms()
            made = self._caller.do(PERSON, path, {**terms, "decision": decision})
            if made and decision == "asked":
                self._caller.do(PERSON, path, {**terms, "consent_id": made["id"]})
            if made and decision == "granted":
                self._caller.do(PERSON, f"{path}/{made['id']}/withdrawal", BODIES["withdraw_consent"])

    def disclose(self) -> None:
        subject = self.register(shared=False)
        case = subject and self.open_case(subject)
        consent = case and self._caller.do(PERSON, f"/v1/subjects/{subject}/consents", self._terms())
        if not consent:
            return
        body = {**BODIES["request_disclosure"], "case_id": case, "recipient_id": self._known.recipients[0]}
        body["basis"] = {"type": "consent", "id": consent["id"]}
        path = f"/v1/subjects/{subject}/disclosures"
        if asked := self._caller.do(MANAGER, path, body):
            one = f"{path}/{asked['id']}"
            last = self._chance.choice(["release", "denial", "cancellation"])
            if last == "denial":
                self._caller.do(SECOND_MANAGER, f"{one}/denial", BODIES["deny_disclosure"])
            elif self._caller.do(SECOND_MANAGER, f"{one}/authorization", {}):
                self._caller.do(MANAGER, f"{one}/{last}", {} if last == "release" else BODIES["cancel_disclosure"])

    def ask(self) -> None:
        if subject := self._any(self._known.people):
            body = {**BODIES["receive_request"], "right": "access"}
            if asked := self._caller.do(PERSON, f"/v1/subjects/{subject}/requests", body):
                last = self._chance.choice(["extension", "refusal"])
                self._caller.do(
                    OFFICER, f"/v1/requests/{asked['id']}/{last}", BODIES["refuse_request"] if last == "refusal" else {}
                )

    def erase(self) -> None:
        subject = self.register(shared=False)
        case = subject and self.open_case(subject)
        if not case:
            return
        self.intake(case)
        asked = self._caller.do(PERSON, f"/v1/subjects/{subject}/requests", BODIES["receive_request"])
        path = asked and f"/v1/requests/{asked['id']}"
        verified = path and self._caller.do(OFFICER, f"{path}/verification", BODIES["verify_requester"])
        if shown := verified and self._caller.do(OFFICER, f"{path}/preview", repeat=False):
            self._caller.do(SECOND_OFFICER, f"{path}/approval", {"preview_id": shown["preview_id"]})

    def look(self) -> None:
        """Read a case: an answer or 503, whatever was killed; what is read is recorded, and nobody's command."""
        if case := self._any(self._known.cases):
            try:
                status, _ = self._caller.send(MANAGER, "GET", f"/v1/cases/{case}", None, {"X-Request-Id": str(uuid4())})
            except (OSError, http.client.HTTPException):
                return
            assert status in (200, 404, 503), f"status {status} to a read"

    def _terms(self) -> dict[str, Any]:
        return {**BODIES["grant_consent"], "recipient_ids": [self._known.recipients[0]]}

    def _any(self, things: list[Any]) -> Any:
        return self._chance.choice(things) if things else None
