"""What may not be asked is refused; what cannot be read or verified is set aside, nothing in clear; all goes on."""

from __future__ import annotations

import base64
import json
import os
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from joserfc import jwe, jws
from joserfc.jwk import OctKey, OKPKey
from publishing import OPERATOR, Publisher, answered, registered, taking

from application.examples import BODIES
from application.inbox_keys import current_jwk
from consumers.clients import MAX_RECORD_BYTES
from consumers.topics import INBOX
from tests.waiting import until

PERSON = BODIES["register_subject"]
CANARY = "Zanzibarova"


def message(*without: str, **changes: Any) -> dict[str, Any]:
    fields = {"command": "register_subject", "actor": "forms-1", "purpose": "intake", "data": PERSON, **changes}
    return {"message_id": str(uuid4()), **{name: value for name, value in fields.items() if name not in without}}


REFUSED = {
    "no actor": (message("actor"), "invalid-input"),
    "a name as the actor": (message(actor=f"{CANARY} M."), "invalid-input"),
    "unknown purpose": (message(purpose=CANARY), "invalid-input"),
    "another purpose": (message(purpose="rights"), "not-allowed"),
    "unknown command": (message(command=CANARY), "invalid-input"),
    "not for the inbox": (message(command="approve_erasure"), "not-allowed"),
    "data is a list": (message(data=[CANARY]), "invalid-input"),
    "no data": (message("data"), "invalid-input"),
    "no identifier": (message(command="submit_intake"), "invalid-input"),
    "extra field": ({**message(), CANARY.lower(): CANARY}, "invalid-input"),
    "too deep": (message(data={**PERSON, "deep": json.loads("[" * 40 + "]" * 40)}), "invalid-input"),
    "does not fit": (message(data={**PERSON, "language": CANARY}), "invalid-input"),
}


def test_what_a_publisher_may_not_ask_is_refused_with_a_problem(service, settings, publisher, answers) -> None:
    before = registered(service)
    ids = {name: publisher.send_message(sent) for name, (sent, _) in REFUSED.items()}
    with taking(service, settings):
        outcomes = dict(zip(ids, answered(answers, *ids.values()), strict=True))

    found = {name: outcome["problem"]["type"].rpartition(":")[2] for name, outcome in outcomes.items()}
    assert found == {name: slug for name, (_, slug) in REFUSED.items()}
    assert outcomes["too deep"]["problem"]["errors"] == [{"field": "data", "problem": "is nested deeper than 32"}]
    assert registered(service) == before
    assert CANARY.lower() not in json.dumps(outcomes).lower()


def b64(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


MESSAGE = {"command": "register_subject", "actor": "forms-1", "purpose": "intake", "data": {**PERSON, "x": CANARY}}


def payload() -> bytes:
    return json.dumps({"message_id": str(uuid4()), **MESSAGE}).encode()


def tampered(token: str, segment: int) -> str:
    parts = token.split(".")
    middle = len(parts[segment]) // 2
    swapped = "A" if parts[segment][middle] != "A" else "B"
    parts[segment] = parts[segment][:middle] + swapped + parts[segment][middle + 1 :]
    return ".".join(parts)


def hmac_with_public_key(p: Publisher) -> str:
    key = OctKey.import_key(p.key.as_dict(private=False)["x"])
    return p.encrypt(jws.serialize_compact({"alg": "HS256", "kid": p.id}, payload(), key, algorithms=["HS256"]))


def embedded_key(p: Publisher) -> str:
    own = OKPKey.generate_key("Ed25519")
    header = {"alg": "EdDSA", "kid": p.id, "jwk": own.as_dict(private=False)}
    return p.encrypt(jws.serialize_compact(header, payload(), own, algorithms=["EdDSA"]))


def of_another_curve(p: Publisher) -> str:
    own = OKPKey.generate_key("Ed448")
    return p.encrypt(jws.serialize_compact({"alg": "EdDSA", "kid": p.id}, payload(), own, algorithms=["EdDSA"]))


def symmetric(p: Publisher) -> str:
    key = OctKey.generate_key(256)
    header = {"alg": "dir", "enc": "A256GCM", "kid": p.id}
    return jwe.encrypt_compact(header, p.sign(payload()), key, algorithms=["dir", "A256GCM"])


def to_an_unknown_key(p: Publisher) -> str:
    return p.encrypt(p.sign(payload()), kid="20200101000000-0000000000000000")


def to_a_key_of_today_that_was_made_up(p: Publisher) -> str:
    return p.encrypt(p.sign(payload()), kid=f"{datetime.now(UTC):%Y%m%d%H%M%S}-0000000000000000")


def of_an_unknown_publisher(p: Publisher) -> str:
    return p.encrypt(p.sign(payload(), kid=str(uuid4())))


def of_a_revoked_publisher(p: Publisher) -> str:
    gone = Publisher(p.service, p.settings, "gone")
    p.service.execute("revoke_publisher", OPERATOR, {"publisher_id": gone.id}, {})
    gone.close()
    return gone.encrypt(gone.sign(payload()))


def in_the_name_of_another_publisher(p: Publisher) -> str:
    other = Publisher(p.service, p.settings, "other")
    other.close()
    return p.encrypt(p.sign(payload(), kid=other.id))


HOSTILE: dict[str, tuple[Callable[[Publisher], str | bytes], bytes]] = {
    "no JOSE": (lambda p: CANARY, b"NotAuthenticated"),
    "nothing": (lambda p: b"", b"NotAuthenticated"),
    "not text": (lambda p: bytes(range(256)), b"NotAuthenticated"),
    "signed only": (lambda p: p.sign(payload()), b"NotAuthenticated"),
    "five empty parts": (lambda p: "....", b"NotAuthenticated"),
    "header of brackets": (lambda p: ".".join([b64(b"[" * 700), "A", "A", "A", "A"]), b"NotAuthenticated"),
    "unsigned": (lambda p: p.encrypt(f"{b64({'alg': 'none', 'kid': p.id})}.{b64(payload())}."), b"NotAuthenticated"),
    "MAC by the public key": (hmac_with_public_key, b"NotAuthenticated"),
    "brings its own key": (embedded_key, b"NotAuthenticated"),
    "names a key's address": (lambda p: p.encrypt(p.sign(payload(), jku="https://x.example/")), b"NotAuthenticated"),
    "another curve": (of_another_curve, b"NotAuthenticated"),
    "symmetric": (symmetric, b"NotAuthenticated"),
    "another key agreement": (lambda p: p.encrypt(p.sign(payload()), alg="ECDH-ES+A128KW"), b"NotAuthenticated"),
    "another cipher": (lambda p: p.encrypt(p.sign(payload()), enc="A128GCM"), b"NotAuthenticated"),
    "compressed": (lambda p: p.encrypt(p.sign(payload()), zip="DEF"), b"NotAuthenticated"),
    "no inbox key named": (lambda p: p.encrypt(p.sign(payload()), kid=""), b"NotAuthenticated"),
    "unknown inbox key": (to_an_unknown_key, b"NotAuthenticated"),
    "inbox key of today that was made up": (to_a_key_of_today_that_was_made_up, b"NotAuthenticated"),
    "unknown publisher": (of_an_unknown_publisher, b"RuleRefused"),
    "another publisher's name": (in_the_name_of_another_publisher, b"NotAuthenticated"),
    "publisher is no id": (lambda p: p.encrypt(p.sign(payload(), kid="../../x")), b"NotAuthenticated"),
    "revoked publisher": (of_a_revoked_publisher, b"RuleRefused"),
    "tampered ciphertext": (lambda p: tampered(p.encrypt(p.sign(payload())), 3), b"NotAuthenticated"),
    "tampered header": (lambda p: tampered(p.encrypt(p.sign(payload())), 0), b"NotAuthenticated"),
    "tampered payload": (lambda p: p.encrypt(tampered(p.sign(payload()), 1)), b"NotAuthenticated"),
    "tampered signature": (lambda p: p.encrypt(tampered(p.sign(payload()), 2)), b"NotAuthenticated"),
    "too large": (lambda p: p.encrypt(p.sign(b" " * 400_000)), b"NotAuthenticated"),
    "not JSON": (lambda p: p.encrypt(p.sign(CANARY.encode())), b"InvalidInput"),
    "brackets": (lambda p: p.encrypt(p.sign(b"[" * 100_000)), b"InvalidInput"),
    "a list": (lambda p: p.encrypt(p.sign(b"[]")), b"InvalidInput"),
    "two message ids": (lambda p: p.encrypt(p.sign(payload()[:-1] + b',"message_id":"x"}')), b"InvalidInput"),
    "half a character": (lambda p: p.encrypt(p.sign(b'{"message_id": "\\ud800"}')), b"InvalidInput"),
    "not a number": (lambda p: p.encrypt(p.sign(b'{"message_id": NaN}')), b"InvalidInput"),
    "no message id": (lambda p: p.encrypt(p.sign(json.dumps(MESSAGE).encode())), b"InvalidInput"),
}


UNOPENED = {
    "no JOSE", "nothing", "not text", "signed only", "five empty parts", "header of brackets", "symmetric",
    "another key agreement", "another cipher", "compressed", "no inbox key named", "unknown inbox key",
    "inbox key of today that was made up", "tampered ciphertext", "tampered header", "too large",
}  # fmt: skip
"""Those that no key of ours opens: whatever they are, it may be in clear, and nobody could read it if it is not."""


def by_hand(p: Publisher, **said: Any) -> bytes:
    """Return what is encrypted to our key by the letter of RFC 7518, with anything ``said`` in its header.

    A value that is a list says the same name several times; ``epk`` adds to the ephemeral key.
    """
    jwk, own = current_jwk(p.service.vault, datetime.now(UTC)), X25519PrivateKey.generate()
    epk = {"kty": "OKP", "crv": "X25519", "x": b64(own.public_key().public_bytes_raw()), **said.pop("epk", {})}
    fields = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "kid": jwk["kid"], "epk": epk, **said}
    pairs = [(k, v) for k, values in fields.items() for v in (values if isinstance(values, list) else [values])]
    header = b64(("{" + ",".join(f"{json.dumps(k)}:{json.dumps(v)}" for k, v in pairs) + "}").encode())

    shared = own.exchange(X25519PublicKey.from_public_bytes(unb64(jwk["x"])))
    parties = [b"ECDH-ES+A256KW", unb64(fields.get("apu", "")), unb64(fields.get("apv", ""))]
    info = b"".join(struct.pack(">I", len(part)) + part for part in parties) + struct.pack(">I", 256)
    wrapping = ConcatKDFHash(hashes.SHA256(), 32, info).derive(shared)
    key, nonce = os.urandom(32), os.urandom(12)
    sealed = AESGCM(key).encrypt(nonce, p.sign(payload() + b"]").encode(), header.encode())
    segments = [aes_key_wrap(wrapping, key), nonce, sealed[:-16], sealed[-16:]]
    return ".".join([header, *map(b64, segments)]).encode()


SAID_IN_CLEAR: dict[str, Any] = {
    "another member": {"sub": CANARY},
    "a party": {"apu": b64(CANARY.encode())},
    "the other party": {"apv": b64(CANARY.encode())},
    "a type": {"typ": CANARY},
    "a content type": {"cty": CANARY},
    "a type that is a list": {"typ": [[CANARY]]},
    "a name twice": {"typ": [CANARY, "JWT"]},
    "in the ephemeral key": {"epk": {"kid": CANARY}},
}


REFUSED_UNOPENED = {"another member", "a type that is a list"}


def test_nothing_that_stands_in_clear_around_the_ciphertext_is_kept(service, settings, publisher, answers) -> None:
    """Also where the rest opens: the header of such a message would lie on the topic for 90 days, as it is."""
    sent = {name: by_hand(publisher, **said) for name, said in SAID_IN_CLEAR.items()}
    sent |= {"nothing": by_hand(publisher), "words of the RFCs": by_hand(publisher, typ="JOSE", cty="JWT")}
    keys = {name: str(uuid4()) for name in sent}
    for name, value in sent.items():
        publisher.put(value, keys[name])
    with taking(service, settings):
        letters = until(lambda: (found := answers.dead_letters()) and len(found) == len(sent) and found)

    by_name = {name: letter for name, key in keys.items() for letter in letters if letter.key == key.encode()}
    errors = {name: dict(letter.headers)["ck-error"] for name, letter in by_name.items()}
    assert errors == {name: b"NotAuthenticated" if name in REFUSED_UNOPENED else b"InvalidInput" for name in sent}
    assert {name: letter.value for name, letter in by_name.items()} == {
        name: None if name in SAID_IN_CLEAR else value for name, value in sent.items()
    }
    assert all(dict(letter.headers)["ck-source"].startswith(settings.topic(INBOX).encode()) for letter in letters)
    raw = b"".join((letter.key or b"") + (letter.value or b"") + repr(letter.headers).encode() for letter in letters)
    spelled = [base64.b64encode(b" " * shift + CANARY.encode())[4:-4] for shift in range(3)]
    assert not any(text in raw for text in (CANARY.encode(), *spelled))


def test_a_key_that_is_no_id_is_not_kept_and_holds_nothing_up(service, settings, publisher, answers) -> None:
    publisher.put(b"in clear", "jane.doe@example.org")
    publisher.put(b"", "k" * (MAX_RECORD_BYTES - 90))
    last = publisher.send("register_subject", PERSON)
    with taking(service, settings):
        answered(answers, last)
        letters = until(lambda: (found := answers.dead_letters()) and len(found) == 2 and found)

    assert [letter.key for letter in letters] == [None, None]


def test_hostile_messages_are_set_aside_and_stop_nothing(service, settings, publisher, answers) -> None:
    before = registered(service)
    sent = {}
    keys = {name: str(uuid4()) for name in HOSTILE}
    for name, (make, _) in HOSTILE.items():
        made = make(publisher)
        sent[name] = made.encode() if isinstance(made, str) else made
        publisher.put(sent[name], keys[name])
    last = publisher.send("register_subject", PERSON)
    with taking(service, settings) as part:
        answered(answers, last)
        letters = until(lambda: (found := answers.dead_letters()) and len(found) == len(HOSTILE) and found)

    names = {key: name for name, key in keys.items()}
    by_name = {names[letter.key.decode()]: letter for letter in letters}
    kept = {name: letter.value for name, letter in by_name.items()}
    assert kept == {name: None if name in UNOPENED else sent[name] for name in kept}
    errors = {name: dict(letter.headers)["ck-error"] for name, letter in by_name.items()}
    assert errors == {name: error for name, (_, error) in HOSTILE.items()}
    assert all(dict(letter.headers)["ck-where"].startswith((b"consumers/", b"domain/")) for letter in letters)
    assert list(answers.outcomes()) == [last]
    assert registered(service) == before + 1
    assert part.said.code == ""
