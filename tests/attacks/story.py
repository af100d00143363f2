"""A person's whole story, over HTTP or the inbox, with a canary in every field; and every error one can provoke."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from casekeeper_client import Client, Rejected
from casekeeper_client.sealing import Signer, new_key_pair
from tests.attacks.canaries import Canaries
from tests.callers import INTAKE_SERVICE, MANAGER, OFFICER, RIGHTS_SERVICE, SECOND_MANAGER, SECOND_OFFICER, Who
from tests.e2e.copy_of_service import Copy
from tests.waiting import until

PATHS = {
    "register_subject": "/v1/subjects",
    "register_reviewed_subject": "/v1/subjects/reviewed",
    "start_engagement": "/v1/subjects/{subject_id}/engagements",
    "open_case": "/v1/cases",
    "submit_intake": "/v1/cases/{case_id}/intakes",
    "amend_intake": "/v1/cases/{case_id}/intakes/{intake_id}/amendments",
    "add_note": "/v1/cases/{case_id}/notes",
    "add_task": "/v1/cases/{case_id}/tasks",
    "close_case": "/v1/cases/{case_id}/closure",
    "register_agreement": "/v1/agreements",
    "grant_consent": "/v1/subjects/{subject_id}/consents",
    "withdraw_consent": "/v1/subjects/{subject_id}/consents/{consent_id}/withdrawal",
    "request_disclosure": "/v1/subjects/{subject_id}/disclosures",
    "authorize_disclosure": "/v1/subjects/{subject_id}/disclosures/{disclosure_id}/authorization",
    "release_disclosure": "/v1/subjects/{subject_id}/disclosures/{disclosure_id}/release",
    "deny_disclosure": "/v1/subjects/{subject_id}/disclosures/{disclosure_id}/denial",
    "cancel_disclosure": "/v1/subjects/{subject_id}/disclosures/{disclosure_id}/cancellation",
    "receive_request": "/v1/subjects/{subject_id}/requests",
    "verify_requester": "/v1/requests/{request_id}/verification",
    "refuse_request": "/v1/requests/{request_id}/refusal",
    "approve_erasure": "/v1/requests/{request_id}/approval",
}
Door = Callable[[Who, str, Mapping[str, str], Mapping[str, Any]], Mapping[str, Any]]
"""Does one operation (caller, name, ids, body) and returns its answer."""


class Story:
    """One person's story; ``operations``: those that were done, ``ids``: what they made."""

    def __init__(self, copy: Copy, canaries: Canaries, inbox: Door | None = None) -> None:
        self.copy = copy
        self.canaries = canaries
        self.operations: set[str] = set()
        self.ids: dict[str, str] = {}
        self._inbox = inbox

    def http(self, who: Who, name: str, ids: Mapping[str, str], body: Mapping[str, Any]) -> Mapping[str, Any]:
        reply = self.copy.call(who, "POST", PATHS[name].format(**ids), dict(body))
        assert reply.status in (200, 201, 202), (name, reply)
        return reply.body

    def do(self, name: str, who: Who, makes: str = "", *, inbox: bool = True, **given: Any) -> None:
        """Do an operation over the door of this story, where it goes there, and keep the id of what it made."""
        self.operations.add(name)
        body = self.canaries.body(name, **given)
        ids = {key: value for key, value in self.ids.items() if "{" + key + "}" in PATHS[name]}
        answer = self._inbox(who, name, ids, body) if self._inbox and inbox else self.http(who, name, self.ids, body)
        if makes:
            self.ids[makes] = str(answer["id"])
        if "recipient_id" in answer:
            self.ids["recipient_id"] = str(answer["recipient_id"])

    def live(self) -> None:
        """Do every operation that can say something about a person, but for the erasure."""
        notice = {"policy_version": "1"}
        self.do("register_subject", INTAKE_SERVICE, "subject_id", notice=notice)
        self.do("open_case", INTAKE_SERVICE, "case_id", subject_id=self.ids["subject_id"])
        intake = {"form_version": 1, "notice": notice}
        self.do("submit_intake", INTAKE_SERVICE, "intake_id", **intake)
        self.do("amend_intake", INTAKE_SERVICE, **intake)
        self.do("add_note", MANAGER, inbox=False)
        self.do("add_task", MANAGER, inbox=False)
        validity = {"valid_from": "2026-01-01", "recipient_id": None}
        self.do("register_agreement", OFFICER, inbox=False, purposes=["treatment"], **validity)
        self._consent()
        for end, who in (("deny_disclosure", SECOND_MANAGER), ("cancel_disclosure", MANAGER), (None, MANAGER)):
            self._disclosure()
            if end:
                self.do(end, who, inbox=False)
        self.do("authorize_disclosure", SECOND_MANAGER, inbox=False)
        self.do("release_disclosure", MANAGER, inbox=False)
        self.do("withdraw_consent", RIGHTS_SERVICE)
        self.do("receive_request", RIGHTS_SERVICE, "request_id", right="access", scope=None)
        self.do("refuse_request", OFFICER, inbox=False)
        self.do("close_case", MANAGER, inbox=False)
        self.do("start_engagement", INTAKE_SERVICE, inbox=False, notice=notice)
        self.do("register_reviewed_subject", OFFICER, inbox=False, notice=notice)

    def read(self) -> int:
        """Read the person wherever it can be; return how many canaries were shown."""
        paths = (f"/v1/cases/{self.ids['case_id']}", f"/v1/subjects/{self.ids['subject_id']}")
        shown = [self.copy.call(MANAGER, "GET", path) for path in paths]
        assert [reply.status for reply in shown] == [200, 200], shown
        text = json.dumps([reply.body for reply in shown], ensure_ascii=False)
        return sum(canary in text for canary in self.canaries.made)

    def forget(self) -> str:
        """Have the person forgotten; return the certificate's id once it stands."""
        whole = {"right": "erasure", "scope": None}
        self.do("receive_request", RIGHTS_SERVICE, "request_id", **whole)
        self.do("verify_requester", OFFICER, inbox=False, outcome="verified")
        path = f"/v1/requests/{self.ids['request_id']}"
        preview = self.copy.call(OFFICER, "GET", f"{path}/preview").body["preview_id"]
        self.do("approve_erasure", SECOND_OFFICER, inbox=False, preview_id=preview)

        def certificate() -> str | None:
            reply = self.copy.call(OFFICER, "GET", f"{path}/certificate")
            return reply.body["certificate_id"] if reply.status == 200 else None

        return until(certificate, 60, "the certificate")

    def _consent(self) -> None:
        recipients = {"recipient_ids": [self.ids["recipient_id"]], "policy_version": "1", "decision": "granted"}
        what = {"purpose": "treatment", "categories": ["identity", "medical"]}
        self.do("grant_consent", RIGHTS_SERVICE, "consent_id", **recipients, **what)

    def _disclosure(self) -> None:
        basis = {"type": "consent", "id": self.ids["consent_id"]}
        where = {"case_id": self.ids["case_id"], "recipient_id": self.ids["recipient_id"], "basis": basis}
        what = {"purpose": "treatment", "categories": ["identity", "medical"]}
        self.do("request_disclosure", MANAGER, "disclosure_id", inbox=False, **where, **what)


def provoke_over_http(copy: Copy, canaries: Canaries, story: Story) -> int:
    """Call with everything that is wrong, canaries in all of it; return how many calls were refused."""
    word, plain, ids = canaries.text, canaries.plain, story.ids
    person = canaries.body("register_subject", notice={"policy_version": "1"})
    long = word("long") * 40_000
    note = f"/v1/cases/{ids['case_id']}/notes"
    bad: list[tuple[Who, str, str, Any]] = [
        (INTAKE_SERVICE, "POST", "/v1/subjects", {**person, word("unknown name"): word("unknown value")}),
        (INTAKE_SERVICE, "POST", "/v1/subjects", {**person, "identity": word("no object")}),
        (INTAKE_SERVICE, "POST", "/v1/subjects", {**person, "identity": {"given_name": [word("no text")]}}),
        (INTAKE_SERVICE, "POST", "/v1/subjects", {**person, "identity": {"given_name": long[:5000]}}),
        (INTAKE_SERVICE, "POST", "/v1/subjects", {**person, "time_zone": word("zone"), "language": word("language")}),
        (INTAKE_SERVICE, "POST", "/v1/cases", {"subject_id": word("no id"), "kind": word("no word")}),
        (MANAGER, "POST", note, {"text": f"\u0000{word('control')}"}),
        (MANAGER, "POST", note, {"text": f"{word('card')} 4111 1111 1111 1111"}),
        (MANAGER, "POST", note, {"text": word("case is closed")}),
        (MANAGER, "POST", f"/v1/cases/{uuid4()}/notes", {"text": word("no such case")}),
        (MANAGER, "POST", note, {"text": long}),
        (RIGHTS_SERVICE, "POST", note, {"text": word("not allowed")}),
        (MANAGER, "GET", f"/v1/subjects/{plain('path')}", None),
        (MANAGER, "GET", f"/v1/cases?cursor={plain('cursor')}&assignee={plain('assignee')}", None),
    ]
    replies = [copy.call(who, method, path, body) for who, method, path, body in bad]
    key = plain("idempotency key")
    first = copy.call(INTAKE_SERVICE, "POST", "/v1/subjects", person, Idempotency_Key=key)
    assert first.status == 201, first
    other = {**person, "identity": {**person["identity"], "given_name": word("same key, other body")}}
    replies.append(copy.call(INTAKE_SERVICE, "POST", "/v1/subjects", other, Idempotency_Key=key))
    replies.append(copy.call(INTAKE_SERVICE, "POST", "/v1/subjects", person, Idempotency_Key=plain("key") * 40))
    statuses = [reply.status for reply in replies] + _raw(copy, canaries)
    assert [status for status in statuses if not 400 <= status < 500] == []
    return len(statuses)


def _raw(copy: Copy, canaries: Canaries) -> list[int]:
    """Send what no client of ours would: broken JSON, strange headers and methods."""
    word, plain = canaries.text, canaries.plain
    token = copy.token(*INTAKE_SERVICE)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    strange = {"X-Request-Id": plain("request id"), "User-Agent": plain("agent"), "Cookie": plain("cookie")}
    sent = [
        ("POST", "/v1/subjects", headers, ('{"identity": {"given_name": "' + word("broken")).encode()),
        ("POST", "/v1/subjects", headers, f'{{"a": "{word("twice")}", "a": "{word("twice")}"}}'.encode()),
        ("POST", "/v1/subjects", headers, b"\xff" + word("no UTF-8").encode("utf-16")),
        ("POST", "/v1/subjects", {**headers, **strange}, b"{}"),
        ("POST", "/v1/subjects", {**headers, "Authorization": f"Bearer {plain('token')}"}, b"{}"),
        (plain("method").upper(), f"/{plain('page')}?{plain('query')}=1", headers, b""),
    ]
    statuses = []
    for method, path, given, body in sent:
        connection = http.client.HTTPConnection(copy.url.removeprefix("http://"), timeout=30)
        connection.request(method, path, body, given)
        statuses.append(connection.getresponse().status)
        connection.close()
    return statuses


def provoke_over_inbox(client: Client, canaries: Canaries, story: Story, registered: Mapping[str, Any]) -> int:
    """Publish what is refused, and what becomes a dead letter; return how many messages that were."""
    word, ids = canaries.text, story.ids
    person = canaries.body("register_subject", notice={"policy_version": "1"})
    refused = [
        client.publish("register_subject", {**person, word("unknown name"): word("unknown value")}, actor="web-forms"),
        client.publish("add_note", {"case_id": ids["case_id"], "text": word("not allowed")}, actor="web-forms"),
        client.publish("open_case", {"subject_id": word("no id"), "kind": word("no word")}, actor="web-forms"),
        client.publish("register_subject", {"identity": {"given_name": word("long") * 300}}, actor="web-forms"),
    ]
    assert all(isinstance(outcome, Rejected) for outcome in client.wait_for_outcomes(refused, 60))
    message = {"message_id": str(uuid4()), "command": "register_subject", "actor": "web-forms", "purpose": "intake"}
    stranger = Signer(registered["publisher_id"], new_key_pair()[0])
    genuine = Signer(registered["publisher_id"], registered["private_key"])
    key = client._inbox_key.current()
    dead = [
        stranger.seal({**message, "data": person}, key),
        genuine.seal({**message, "message_id": word("no id"), "data": person}, key),
        genuine.seal({**message, "command": word("no command"), "data": {word("name"): word("value")}}, key),
        genuine.seal({word("no message"): word("at all")}, key),
        genuine.seal({**message, "data": person}, key)[:-9] + b"AAAAAAAAA",
    ]
    for value in dead:
        client._producer.send(client._topic, key=str(uuid4()).encode(), value=value).get(30)
    return len(refused) + len(dead)
