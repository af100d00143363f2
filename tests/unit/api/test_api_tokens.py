"""Tokens: what is accepted, and every forgery that is refused. Forgeries are made by hand, not by our code."""

import base64
import hashlib
import hmac
import json
import time
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import OKPKey

from api.tokens import MOST_KNOWN, Issuer, TokenReader, read_issuers
from domain.errors import NotAuthenticated

OURS = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def header(algorithm: str) -> str:
    return b64(json.dumps({"alg": algorithm}).encode())


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def signed(claims: dict, key: Ed25519PrivateKey = OURS, head: dict | None = None) -> str:
    head = b64(json.dumps(head or {"alg": "EdDSA", "typ": "JWT"}).encode())
    body = b64(json.dumps(claims).encode())
    return f"{head}.{body}.{b64(key.sign(f'{head}.{body}'.encode()))}"


def claims(**changes) -> dict:
    made = {
        "iss": "idp",
        "sub": "a1",
        "aud": "casekeeper",
        "exp": int(time.time()) + 3600,
        "roles": ["case_manager"],
        "purpose": "casework",
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


@pytest.fixture(scope="module")
def reader() -> TokenReader:
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(public(OURS))}
    return TokenReader({"idp": Issuer("idp", OKPKey.import_key(jwk))})


def test_a_token_of_a_trusted_issuer_gives_its_caller(reader):
    correlation = uuid4()
    caller = reader.read(signed(claims())).caller(correlation)
    assert (caller.issuer, caller.id, caller.roles) == ("idp", "a1", frozenset({"case_manager"}))
    assert (caller.purpose, caller.producer, caller.correlation_id) == ("casework", "api", correlation)


def test_roles_of_the_identity_provider_that_mean_nothing_here_are_left_out(reader):
    assert reader.read(signed(claims(roles=["regulator", "wiki_editor", "system"]))).roles == {"regulator"}


@pytest.mark.parametrize("purpose", [None, "curiosity", 7, ["casework"]])
def test_a_purpose_that_is_missing_or_unknown_is_none(reader, purpose):
    assert reader.read(signed(claims(purpose=purpose))).purpose is None


def test_an_audience_may_be_a_list(reader):
    assert reader.read(signed(claims(aud=["other", "casekeeper"]))).subject == "a1"


def test_an_issuers_clock_that_is_ahead_does_no_harm(reader):
    assert reader.read(signed(claims(iat=int(time.time()) + 5))).subject == "a1"


def hs256_with_the_public_key() -> str:
    text = f"{header('HS256')}.{b64(json.dumps(claims()).encode())}"
    return f"{text}.{b64(hmac.new(public(OURS), text.encode(), hashlib.sha256).digest())}"


def without_signature() -> str:
    return f"{header('none')}.{b64(json.dumps(claims()).encode())}."


def with_changed_claims() -> str:
    head, _, signature = signed(claims()).split(".")
    return f"{head}.{b64(json.dumps(claims(roles=['privacy_officer'])).encode())}.{signature}"


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("signed by another key", signed(claims(), OTHER)),
        ("algorithm none", without_signature()),
        ("HS256 with the public key as secret", hs256_with_the_public_key()),
        ("claims changed after signing", with_changed_claims()),
        ("issuer not trusted", signed(claims(iss="casekeeper-dev"))),
        ("no issuer", signed(claims(iss=None))),
        ("issuer no text", signed(claims(iss=["idp"]))),
        ("for another audience", signed(claims(aud="payroll"))),
        ("no audience", signed(claims(aud=None))),
        ("no expiry", signed(claims(exp=None))),
        ("expiry no number", signed(claims(exp="tomorrow"))),
        ("not valid yet", signed(claims(nbf=int(time.time()) + 3600))),
        ("no subject", signed(claims(sub=None))),
        ("an e-mail address as subject", signed(claims(sub="ann@example.org"))),
        ("a name as subject", signed(claims(sub="Ann Example"))),
        ("a subject of 65 characters", signed(claims(sub="a" * 65))),
        ("roles no list", signed(claims(roles="case_manager"))),
        ("roles missing", signed(claims(roles=None))),
        ("critical header", signed(claims(), head={"alg": "EdDSA", "crit": ["exp"], "exp": 1})),
        (
            "key in the header",
            signed(claims(), OTHER, {"alg": "EdDSA", "jwk": {"kty": "OKP", "x": b64(public(OTHER))}}),
        ),
        ("not a token", "a.b.c"),
        ("one part", "abc"),
        ("claims no object", f"{header('EdDSA')}.{b64(b'[]')}.{b64(b'x' * 64)}"),
        ("huge", signed(claims(x="y" * 5000))),
        ("not ASCII", signed(claims()) + "é"),
    ],
)
def test_anything_else_is_refused_as_invalid(reader, name, token):
    with pytest.raises(NotAuthenticated) as caught:
        reader.read(token)
    assert caught.value.slug == "token-invalid", name


@pytest.mark.parametrize("age", [0, 1, 3600])
def test_an_expired_token_is_told_apart(reader, age):
    with pytest.raises(NotAuthenticated) as caught:
        reader.read(signed(claims(exp=int(time.time()) - age)))
    assert caught.value.slug == "token-expired"


def test_an_expired_forgery_is_only_a_forgery(reader):
    with pytest.raises(NotAuthenticated) as caught:
        reader.read(signed(claims(exp=1), OTHER))
    assert caught.value.slug == "token-invalid"


def test_issuers_are_read_from_a_file(tmp_path):
    path = tmp_path / "issuers.json"
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(public(OURS))}
    path.write_text(json.dumps({"idp": {"alg": "EdDSA", "jwk": jwk}}))
    assert TokenReader(read_issuers(path)).read(signed(claims())).subject == "a1"


@pytest.mark.parametrize(
    "entry",
    [
        {"alg": "HS256", "jwk": {"kty": "oct", "k": "c2VjcmV0"}},
        {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": b64(public(OURS))}},
        {"alg": "EdDSA", "jwk": {"kty": "OKP", "crv": "X25519", "x": b64(public(OURS))}},
        {"alg": "EdDSA", "jwk": {"kty": "OKP", "crv": "Ed25519", "x": b64(public(OURS)), "d": b64(bytes(32))}},
        {"alg": "EdDSA"},
    ],
)
def test_an_issuer_without_one_pinned_public_key_is_refused(tmp_path, entry):
    path = tmp_path / "issuers.json"
    path.write_text(json.dumps({"idp": entry}))
    with pytest.raises(ValueError, match="issuer idp"):
        read_issuers(path)


def test_a_verified_token_is_known_until_it_expires_and_not_longer(reader: TokenReader) -> None:
    token = signed(claims(exp=int(time.time()) + 2))
    said = reader.read(token)
    assert reader.read(token) is said
    time.sleep(max(0.0, said.expires - time.time()) + 0.05)
    with pytest.raises(NotAuthenticated) as caught:
        reader.read(token)
    assert caught.value.slug == "token-expired"


def test_knowing_a_token_vouches_for_no_other(reader: TokenReader) -> None:
    token = signed(claims())
    reader.read(token)
    head, body, signature = token.split(".")
    changed = b64(json.dumps(claims(roles=["privacy_officer"])).encode())
    for forged in (f"{head}.{changed}.{signature}", f"{head}.{body}.{b64(bytes(64))}", token + "A"):
        with pytest.raises(NotAuthenticated):
            reader.read(forged)


def test_verified_tokens_are_kept_up_to_a_number(reader: TokenReader) -> None:
    for number in range(MOST_KNOWN + 3):
        reader.read(signed(claims(sub=f"a{number}")))
    assert len(reader._known) == MOST_KNOWN
