"""Whoever changes one bit of a certificate, or signs another, is refused, and the refusal says by which check."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest

from application import signed_documents
from application.certificate_checks import check
from application.signing_keys import CERTIFICATES, current_key, public_keys, rotate
from domain.errors import DocumentInvalid
from domain.record import MAX_RECORD_BYTES
from domain.rights import MOST_SCOPES
from tests.unit.application.certificate_samples import CERTIFICATE, Signer, at, b64, changed, supplement

OURS, OTHER = Signer(1), Signer(2)
KEYS = signed_documents.keys_of(json.dumps({"keys": [OURS.jwk]}))
SIGNED = OURS.sign(CERTIFICATE)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Kept:
    """Named secrets in memory, as the vault keeps them."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def secret(self, name: str) -> bytes:
        return self.kept.setdefault(name, bytes([len(self.kept) + 1]) * 32)

    def secrets(self) -> list[str]:
        return sorted(self.kept)

    def destroy_secret(self, name: str) -> None:
        self.kept.pop(name, None)


def reason(document: str, keys=KEYS) -> str:
    with pytest.raises(DocumentInvalid) as refusal:
        signed_documents.read(document, keys)
    return str(refusal.value)


def test_what_was_signed_is_read_again() -> None:
    assert signed_documents.read(SIGNED, KEYS) == CERTIFICATE


def test_what_we_sign_is_what_anybody_would() -> None:
    """The same bytes as a signer made from the RFCs alone: Ed25519 gives one signature for one payload."""
    vault = Kept()
    key = current_key(vault, NOW, CERTIFICATES)

    assert key.as_dict(private=False)["x"] == OURS.x
    assert [signed_documents.sign(CERTIFICATE, key) for _ in range(3)] == [SIGNED] * 3


def test_the_largest_erasure_fits_into_one_record() -> None:
    """As many scopes as are approved, each by the longest words, and a thousand disclosures."""
    scope = {"scope_id": CERTIFICATE["subject_id"], "category": "correspondence", "case_id": CERTIFICATE["request_id"]}
    owed = {**CERTIFICATE["recipients"][0], "disclosure_ids": [CERTIFICATE["subject_id"]] * 1000}
    large = {
        **CERTIFICATE,
        "scopes": [scope] * MOST_SCOPES,
        "fingerprints": ["ab" * 32] * MOST_SCOPES,
        "recipients": [owed],
    }
    signed = signed_documents.sign(large, current_key(Kept(), NOW, CERTIFICATES))

    assert len(signed) < MAX_RECORD_BYTES - 4096
    assert signed_documents.read(signed, KEYS) == large


def test_every_character_counts() -> None:
    """Each character replaced by its neighbour in the alphabet, also where it changes bits that carry nothing."""
    header, payload, _ = SIGNED.split(".")
    for place, character in enumerate(SIGNED):
        flipped = "A" if character == "." else ALPHABET[ALPHABET.index(character) ^ 1]
        said = reason(SIGNED[:place] + flipped + SIGNED[place + 1 :])
        if character == ".":
            assert said == "not a compact JWS of three parts"
        elif place < len(header):
            assert said.startswith(("the header", "kid names", "the signature does not fit"))
        elif place < len(header) + 1 + len(payload):
            assert said in (
                "the signature does not fit: something was changed, or another key signed",
                "the payload is not base64url in its one form",
            )
        else:
            assert said in ("the signature does not fit: something was changed, or another key signed",
                            "the signature is not base64url in its one form")  # fmt: skip


def test_every_byte_of_the_payload_counts() -> None:
    header, payload, signature = SIGNED.split(".")
    content = base64.urlsafe_b64decode(payload + "==")
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << (place % 8)
        said = reason(f"{header}.{b64(bytes(flipped))}.{signature}")
        assert said == "the signature does not fit: something was changed, or another key signed"


@pytest.mark.parametrize("field", CERTIFICATE)
def test_every_field_is_of_the_form(field: str) -> None:
    said = "document" if field in ("document", "format") else field
    expected = f"the payload has not the form of a certificate: {said}"

    assert reason(OURS.sign(changed(CERTIFICATE, field, ...))) == expected
    assert reason(OURS.sign(changed(CERTIFICATE, field, {"name": "Ada"}))) == expected


@pytest.mark.parametrize(
    ("path", "value", "wrong"),
    [
        ("name", "Ada Example", "(unnamed)"),
        ("events.name", "Ada Example", "events"),
        ("scopes.0.category", "diabetes", "scopes"),
        ("withheld.0.ground", "because Ada asked", "withheld"),
        ("views.people", "12", "views"),
        ("views.Ada Example", 12, "views"),
        ("recipients.0.recipient_id", "Example Clinic", "recipients"),
        ("not_proven", ["ada@example.org"], "not_proven"),
        ("format", 2, "document"),
        ("document", "diploma", "document"),
    ],
)
def test_no_text_slips_in(path: str, value, wrong: str) -> None:
    document = changed(CERTIFICATE, path, value)

    assert reason(OURS.sign(document)) == f"the payload has not the form of a certificate: {wrong}"
    with pytest.raises(ValueError, match="not of the form"):
        signed_documents.sign(document, current_key(Kept(), NOW, CERTIFICATES))


def test_a_view_that_is_no_more_does_not_make_a_certificate_invalid() -> None:
    once = changed(CERTIFICATE, "views.archive", 7)

    assert signed_documents.read(OURS.sign(once), KEYS) == once


def test_a_supplement_reports_only_what_its_event_may_carry() -> None:
    named = changed(supplement(SIGNED), "data.name", "Ada")
    free = changed(supplement(SIGNED), "data.channel", "her sister")
    other = changed(supplement(SIGNED), "fact", "SubjectRegistered")

    assert signed_documents.read(OURS.sign(supplement(SIGNED)), KEYS) == supplement(SIGNED)
    assert reason(OURS.sign(named)).endswith("certificate: data.(unnamed)")
    assert reason(OURS.sign(free)).endswith("certificate: data.channel")
    assert reason(OURS.sign(other)).endswith("certificate: fact")


def test_another_key_is_refused() -> None:
    assert reason(OTHER.sign(CERTIFICATE)) == "kid names a key that is not among those given"
    assert reason(OTHER.sign(CERTIFICATE, kid=OURS.kid)).startswith("the signature does not fit")
    assert reason(SIGNED, signed_documents.keys_of(json.dumps(OTHER.jwk))).startswith("kid names a key")


@pytest.mark.parametrize(
    ("header", "wrong"),
    [
        ({"alg": "none"}, "the header's alg is not EdDSA"),
        ({"alg": "HS256"}, "the header's alg is not EdDSA"),
        ({"typ": "JWT"}, "the header's typ is not casekeeper-certificate+jws"),
        ({"crit": ["b64"]}, "the header has not exactly alg, kid and typ"),
        ({"jwk": OTHER.jwk}, "the header has not exactly alg, kid and typ"),
        ({"kid": 7}, "the header has not exactly alg, kid and typ"),
    ],
)
def test_the_header_is_ours(header, wrong: str) -> None:
    assert reason(OURS.sign(CERTIFICATE, **header)) == wrong


def test_a_payload_that_is_not_canonical_is_refused() -> None:
    assert reason(OURS.sign(json.dumps(CERTIFICATE).encode())) == "the payload is not canonical JSON"
    assert reason(OURS.sign(b"[" * 100_000)) == "the payload is not JSON"
    assert reason(OURS.sign(b"[]")) == "the payload has not the form of a certificate: document"


@pytest.mark.parametrize("document", ["", ".", "..", "a.b", "a.b.c.d", "é.é.é", "e30.e30.e30", "e30=.e30.e30"])
def test_what_is_no_signed_document_is_refused(document: str) -> None:
    reason(document)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("no", "the key file is not JSON"),
        ('{"keys": []}', "key file: there is no key in it"),
        (json.dumps({**OURS.jwk, "kid": OTHER.kid}), "key file: a kid is not the thumbprint of its key"),
        (json.dumps({**OURS.jwk, "d": b64(b"\1" * 32)}), "key file: not a public Ed25519 key as JWK"),
        (json.dumps({**OURS.jwk, "crv": "X25519"}), "key file: not a public Ed25519 key as JWK"),
        (json.dumps({"kty": "oct", "k": "AAAA"}), "key file: not a public Ed25519 key as JWK"),
        (json.dumps({**OURS.jwk, "x": "AA"}), "key file: not a public Ed25519 key as JWK"),
    ],
)
def test_a_key_file_that_is_none_is_refused(text: str, wrong: str) -> None:
    with pytest.raises(DocumentInvalid) as refusal:
        signed_documents.keys_of(text)
    assert str(refusal.value) == wrong


def test_a_certificate_outlives_the_rotation_of_its_key_and_no_revoked_key() -> None:
    vault = Kept()
    before = signed_documents.sign(CERTIFICATE, current_key(vault, NOW, CERTIFICATES))
    old = vault.secrets()[0]
    rotate(vault, NOW, CERTIFICATES)
    after = signed_documents.sign(CERTIFICATE, current_key(vault, NOW, CERTIFICATES))
    keys = signed_documents.keys_of(json.dumps({"keys": public_keys(vault, NOW, CERTIFICATES)}))
    vault.destroy_secret(old)
    without = signed_documents.keys_of(json.dumps({"keys": public_keys(vault, NOW, CERTIFICATES)}))

    assert before != after
    assert signed_documents.read(before, keys) == signed_documents.read(after, keys) == CERTIFICATE
    assert signed_documents.read(after, without) == CERTIFICATE
    assert reason(before, without) == "kid names a key that is not among those given"


@pytest.mark.parametrize("now", [NOW, NOW.replace(year=2020)], ids=["same moment", "clock put back"])
def test_the_youngest_key_signs(now: datetime) -> None:
    vault = Kept()
    born = []
    for moment in (NOW, *[now] * 20):
        rotate(vault, moment, CERTIFICATES)
        born.append(current_key(vault, moment, CERTIFICATES).thumbprint())

    assert len(set(born)) == 21
    assert [key["kid"] for key in public_keys(vault, NOW, CERTIFICATES)] == born[::-1]


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"destroyed_at": at(0)}, "certificate: destroyed_at is before fenced_at"),
        ({"unrecoverable_after": at(1)}, "certificate: unrecoverable_after is before destroyed_at"),
        ({"certified_at": at(1)}, "certificate: certified_at is before destroyed_at"),
        ({"root_epochs": {"before": 4, "after": 4}}, "certificate: the root key was not replaced"),
        ({"fenced_at": "2026-02-31T10:00:00.000000Z"}, "certificate: fenced_at is no time"),
        ({"certified_at": "0000-01-01T10:00:00.000000Z"}, "certificate: certified_at is no time"),
    ],
)
def test_what_cannot_have_been_is_named(changes, failure: str) -> None:
    assert check([OURS.sign({**CERTIFICATE, **changes})], KEYS)[1] == [failure]


def test_the_last_moment_there_is_can_be_checked() -> None:
    end = "9999-12-31T23:59:59.999999Z"
    last = dict.fromkeys(("destroyed_at", "unrecoverable_after", "certified_at"), end)

    assert check([OURS.sign({**CERTIFICATE, **last})], KEYS)[1] == []


def test_a_certificate_with_its_supplements_holds() -> None:
    lines = [SIGNED, OURS.sign(supplement(SIGNED)), OURS.sign(supplement(SIGNED, number=2))]

    assert check(lines, KEYS) == ([CERTIFICATE, supplement(SIGNED), supplement(SIGNED, number=2)], [])


@pytest.mark.parametrize(
    ("lines", "failures"),
    [
        ([], ["there is no signed document in the file"]),
        ([OURS.sign(supplement(SIGNED))], ["the first document is no certificate"]),
        ([SIGNED, SIGNED], ["supplement 1: is no supplement"]),
        ([SIGNED, OURS.sign(supplement(SIGNED + "x"))], ["supplement 1: refers to another certificate"]),
        (
            [SIGNED, OURS.sign(supplement(SIGNED)), OURS.sign(supplement(SIGNED))],
            ["supplement 2: its number is another supplement's, or none"],
        ),
        (
            [SIGNED, OURS.sign(supplement(SIGNED, recorded_at=at(3)))],
            ["supplement 1: recorded_at is before the certificate's certified_at"],
        ),
        (
            [SIGNED[:-2], OTHER.sign(supplement(SIGNED))],
            [
                "certificate: the signature is not one of 64 bytes",
                "supplement 1: kid names a key that is not among those given",
            ],
        ),
    ],
)
def test_each_failure_is_one_line(lines: list[str], failures: list[str]) -> None:
    assert check(lines, KEYS)[1] == failures
