"""One message of the inbox, from the bytes on the topic to a command with its caller."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from application.caller import Caller
from application.catalogue import OPERATIONS
from application.strict_json import UNPAIRED, deeper_than, parse_object
from domain.errors import FieldProblem, InvalidInput, NotAllowed
from domain.registry import ACTOR_ID
from domain.vocabulary import PURPOSES_OF_USE

MAX_DEPTH = 32
"""Deepest nesting of arrays and objects in a message's data; more is refused with an outcome."""
_READABLE_DEPTH = 100
"""Deepest nesting of a message whose fields are looked at: well within what can be encoded again."""
_FIELDS = frozenset({"message_id", "command", "actor", "purpose", "data"})


@dataclass(frozen=True)
class Message:
    """A verified message: what its publisher signed. Nothing but its id has been checked yet.

    ``malformed``: why it is not JSON that this service reads. Its ``content`` is then the payload, as base64.
    """

    message_id: UUID
    publisher_id: UUID
    service: str
    content: Mapping[str, Any]
    malformed: InvalidInput | None = None


@dataclass(frozen=True)
class Command:
    """What a message asks for. ``ids`` and ``body`` are the message's data, split as HTTP splits path and body."""

    operation: str
    caller: Caller
    ids: Mapping[str, Any]
    body: Mapping[str, Any]


def parse(payload: bytes, publisher_id: UUID, service: str) -> Message:
    """Read a signed payload. Raises ``InvalidInput`` when it has no one message id to answer to."""
    try:
        # NUL passes here: the schemas refuse it, with an outcome.
        content: Mapping[str, Any] = parse_object(payload, _READABLE_DEPTH, UNPAIRED)
    except InvalidInput as error:
        malformed = InvalidInput(error.problems, error.slug)
        message_id = _only_id(payload)
        if message_id is None:
            raise malformed from None
        return Message(message_id, publisher_id, service, {"payload": base64.b64encode(payload).decode()}, malformed)
    try:
        message_id = UUID(content["message_id"])
    except (KeyError, ValueError, TypeError, AttributeError):
        raise InvalidInput([FieldProblem("message_id", "must be a UUID")]) from None
    return Message(message_id, publisher_id, service, content)


def _only_id(payload: bytes) -> UUID | None:
    """Return the message id of a payload that is lax JSON at least, and states it once; ``None`` otherwise."""
    try:
        # Objects as lists of pairs, to see what comes twice; long numbers are not even read.
        pairs = json.loads(payload.decode(), object_pairs_hook=_Pairs, parse_int=len)
    except (ValueError, RecursionError):
        return None
    stated = [value for name, value in pairs if name == "message_id"] if isinstance(pairs, _Pairs) else []
    try:
        return UUID(stated[0]) if len(stated) == 1 and isinstance(stated[0], str) else None
    except ValueError:
        return None


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it stands."""


def command(message: Message) -> Command:
    """Return the command in a message. Raises ``InvalidInput``, ``NotAllowed``.

    The publisher vouches for the actors it names, as a token's issuer does for its subjects: so its service stands as
    the issuer, and no message can act as anybody that another issuer vouches for. It always acts as a service.
    """
    if message.malformed is not None:
        raise message.malformed
    content = message.content
    _check_shape(content)
    operation = OPERATIONS.get(content["command"])
    if operation is None:
        raise InvalidInput([FieldProblem("command", "is not a known command")])
    if not operation.inbox:
        raise NotAllowed("not-allowed", "this is not taken from the inbox")
    data = dict(content["data"])
    missing = [name for name in operation.ids if name not in data]
    if missing:
        raise InvalidInput([FieldProblem(f"data.{name}", "is missing") for name in missing])
    ids = {name: data.pop(name) for name in operation.ids}
    return Command(operation.name, caller(message), ids, data)


def caller(message: Message) -> Caller:
    """Return who a message acts as; of an actor or purpose out of form nothing is kept."""
    actor, purpose = message.content.get("actor"), message.content.get("purpose")
    return Caller(
        issuer=message.service,
        id=str(actor) if ACTOR_ID.conforms(actor) else message.service,
        roles=frozenset({"service"}),
        purpose=purpose if isinstance(purpose, str) and purpose in PURPOSES_OF_USE else None,
        producer="inbox",
        correlation_id=uuid4(),
    )


def _check_shape(content: Mapping[str, Any]) -> None:
    problems = [FieldProblem(name, "is missing") for name in sorted(_FIELDS - content.keys())]
    if content.keys() - _FIELDS:
        problems.append(FieldProblem("", "has a field that messages do not have"))
    if "command" in content and not isinstance(content["command"], str):
        problems.append(FieldProblem("command", "must be a string"))
    if "actor" in content and not ACTOR_ID.conforms(content["actor"]):
        problems.append(FieldProblem("actor", "must be an opaque identifier"))
    if "purpose" in content and not (isinstance(content["purpose"], str) and content["purpose"] in PURPOSES_OF_USE):
        problems.append(FieldProblem("purpose", "must be a purpose of use"))
    if "data" in content and not isinstance(content["data"], dict):
        problems.append(FieldProblem("data", "must be an object"))
    elif deeper_than(content.get("data"), MAX_DEPTH):
        problems.append(FieldProblem("data", f"is nested deeper than {MAX_DEPTH}"))
    if problems:
        raise InvalidInput(problems)
