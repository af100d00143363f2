"""A genuine message in which any bytes are changed is carried out, refused or set aside: never half, never aloud."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hostile import MARK, logged
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from publishing import Publisher

from application.examples import BODIES
from application.service import Service
from consumers.inbox_handler import Handled, InboxHandler, Raw

PERSON = BODIES["register_subject"]
MARKED = {**PERSON, "identity": {**PERSON["identity"], "given_name": MARK}}
JSON_PIECES = (b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"null", b"NaN", b"1e999", b"\xff", b"\\ud800", b"\x00")
BASE64_PIECES = (b"A", b"_", b".", b"=", b"+", b"\n", b"\xff", b"")


@st.composite
def changes(draw: st.DrawFn, pieces: tuple[bytes, ...]) -> list[tuple[float, int, bytes]]:
    """Return changes: where (a fraction of the text), how many bytes go, and what comes there."""
    change = st.tuples(st.floats(0, 1), st.integers(0, 40), st.sampled_from(pieces) | st.binary(max_size=8))
    return draw(st.lists(change, min_size=1, max_size=3))


def changed(text: bytes, made: list[tuple[float, int, bytes]]) -> bytes:
    for where, taken, put in made:
        at = int(where * len(text))
        text = text[:at] + put + text[at + taken :]
    return text


class Doors:
    """A message on its way in, and what the handler makes of it at each of three layers."""

    def __init__(self, service: Service, publisher: Publisher) -> None:
        self.handler = InboxHandler(service)
        self.service = service
        self.publisher = publisher

    def message(self) -> tuple[str, bytes]:
        message_id = str(uuid4())
        head = {"message_id": message_id, "command": "register_subject", "actor": "forms-1", "purpose": "intake"}
        return message_id, json.dumps({**head, "data": MARKED}).encode()

    def handle(self, token: bytes) -> Handled:
        before = self.service.log.head()
        with logged() as log:
            handled = self.handler.handle(Raw(None, token, "inbox/0/0", datetime.now(UTC)))
        told = [handled.outcome and json.dumps(handled.outcome.body, default=str)]
        if handled.dead_letter is not None:
            told += [handled.dead_letter.error, handled.dead_letter.where]
        accepted = handled.outcome is not None and handled.outcome.body["status"] == "accepted"

        assert handled.outcome or handled.dead_letter
        assert self.service.log.head() - before == (2 if accepted else 0)
        assert MARK not in f"{told}{log.getvalue()}"
        return handled


@pytest.fixture(scope="module")
def doors(service: Service) -> Any:
    from application.settings import Settings

    class Unsent(Publisher):
        def __init__(self, service: Service) -> None:
            from joserfc.jwk import OKPKey
            from publishing import OPERATOR

            self.service, self.settings = service, Settings()
            self.key = OKPKey.generate_key("Ed25519")
            body = {"service": "forms", "public_key": self.key.as_dict(private=False)["x"]}
            self.id = service.execute("register_publisher", OPERATOR, {}, body).body["id"]

    return Doors(service, Unsent(service))


quietly = examples(deadline=None, suppress_health_check=list(HealthCheck))


@examples(quietly, max_examples=250)
@given(made=changes(BASE64_PIECES))
def test_changed_as_it_lies_on_the_topic(doors: Doors, made: list[tuple[float, int, bytes]]) -> None:
    message_id, payload = doors.message()
    token = doors.publisher.encrypt(doors.publisher.sign(payload)).encode()
    handled = doors.handle(changed(token, made))

    # Base64 can say the same bytes in two ways; then it is the same message.
    assert handled.dead_letter or str(handled.outcome.message_id) == message_id


@examples(quietly, max_examples=150)
@given(made=changes(BASE64_PIECES))
def test_changed_by_somebody_who_has_our_public_key(doors: Doors, made: list[tuple[float, int, bytes]]) -> None:
    message_id, payload = doors.message()
    signed = changed(doors.publisher.sign(payload).encode(), made)
    handled = doors.handle(doors.publisher.encrypt(signed).encode())

    assert handled.dead_letter or str(handled.outcome.message_id) == message_id


@examples(quietly, max_examples=150)
@given(made=changes(JSON_PIECES))
def test_signed_with_any_content(doors: Doors, made: list[tuple[float, int, bytes]]) -> None:
    _, payload = doors.message()
    handled = doors.handle(doors.publisher.encrypt(doors.publisher.sign(changed(payload, made))).encode())

    if handled.outcome is not None:
        assert handled.dead_letter is None
        assert handled.outcome.body["status"] == "accepted" or handled.outcome.body["problem"]["status"] < 500
