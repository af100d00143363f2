import base64
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import EventTooLarge, InvalidInput, Tampered
from domain.sealed import Binding
from vault import sealing
from vault.padding import pad
from vault.primitives import SecretKey, encrypt, hkdf_expand, hmac_sha256, prefixed
from vault.sealing import SealedValue, associated_data, event_key, seal, unseal

BINDING = Binding(uuid4(), uuid4(), uuid4(), "IntakeSubmitted", 1, "answers")
SCOPE = uuid4()
KEY = event_key(SecretKey.new(), BINDING)
CANARY = "canary-7d1f"
VALUE = {"reason": CANARY}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def flipped(raw, position):
    return raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]


def text_of(raw):
    return "ck1." + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def raw_of(text):
    body = text.removeprefix("ck1.")
    return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_what_was_sealed_opens_again(value):
    text = seal(KEY, SCOPE, BINDING, value)

    assert unseal(KEY, SealedValue.parse(text), BINDING) == value


def test_two_seals_of_one_value_differ_and_have_one_length():
    one, other = seal(KEY, SCOPE, BINDING, VALUE), seal(KEY, SCOPE, BINDING, {"reason": "x"})

    assert len({one, seal(KEY, SCOPE, BINDING, VALUE)}) == 2
    assert len(one) == len(other)


def test_every_byte_counts():
    raw = raw_of(seal(KEY, SCOPE, BINDING, VALUE))

    for position in range(len(raw)):
        with pytest.raises(Tampered):
            unseal(KEY, SealedValue.parse(text_of(flipped(raw, position))), BINDING)


def test_every_byte_of_the_place_counts():
    sealed = SealedValue.parse(seal(KEY, SCOPE, BINDING, VALUE))
    moved = [
        replace(BINDING, **{name: UUID(bytes=flipped(getattr(BINDING, name).bytes, position))})
        for name in ("subject_id", "stream_id", "event_id")
        for position in range(16)
    ]
    moved += [
        replace(BINDING, **{name: flipped(getattr(BINDING, name).encode(), position).decode()})
        for name in ("event_type", "field")
        for position in range(len(getattr(BINDING, name)))
    ]
    moved += [replace(BINDING, schema_version=number) for number in (0, 2, 11)]

    for binding in moved:
        with pytest.raises(Tampered):
            unseal(KEY, sealed, binding)
    for position in range(16):
        other_scope = replace(sealed, scope_id=UUID(bytes=flipped(SCOPE.bytes, position)))
        with pytest.raises(Tampered):
            unseal(KEY, other_scope, BINDING)
    assert len(moved) == 16 * 3 + len("IntakeSubmitted") + len("answers") + 3


def test_field_and_type_do_not_run_together():
    one = replace(BINDING, event_type="ab", field="c")
    other = replace(BINDING, event_type="a", field="bc")

    assert associated_data(one, SCOPE) != associated_data(other, SCOPE)


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.mark.parametrize(
    "respell",
    [
        pytest.param(lambda text: text[:4] + text[4:].replace("-", "+").replace("_", "/"), id="standard alphabet"),
        pytest.param(lambda text: text + "=", id="padded"),
        pytest.param(lambda text: text[:-1] + "=", id="ends in padding"),
        pytest.param(lambda text: text[:100] + "=" + text[101:], id="padding inside"),
        pytest.param(lambda text: text[:100] + "!" + text[101:], id="no letter"),
        pytest.param(lambda text: text[:100] + "\n" + text[100:], id="line break"),
        pytest.param(lambda text: text[:-1] + LETTERS[LETTERS.index(text[-1]) ^ 1], id="loose bits"),
        pytest.param(lambda text: text + "AAAA", id="longer"),
        pytest.param(lambda text: text[:300], id="shorter"),
        pytest.param(lambda text: " " + text, id="space in front"),
        pytest.param(lambda text: text[4:], id="no prefix"),
        pytest.param(lambda text: "ck2." + text[4:], id="other prefix"),
        pytest.param(lambda text: "ck1." + text, id="twice the prefix"),
        pytest.param(lambda text: text[:-1] + "é", id="not ASCII"),
        pytest.param(lambda text: "", id="empty"),
        pytest.param(lambda text: "ck1.", id="only the prefix"),
    ],
)
def test_only_one_spelling_is_taken(respell):
    text = seal(KEY, SCOPE, BINDING, {"a": "x" * 300})
    assert len(raw_of(text)) % 3 == 2, "the last letter has bits to spare"
    assert unseal(KEY, SealedValue.parse(text), BINDING)

    with pytest.raises(Tampered):
        unseal(KEY, SealedValue.parse(respell(text)), BINDING)


@given(st.data())
def test_whatever_text_is_taken_is_the_one_that_would_be_written(data):
    text = text_of(b"\x01" + data.draw(st.binary(min_size=333, max_size=340)))
    position = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from(LETTERS + "+/=!\n .é") | st.characters())

    respelt = text[:position] + letter + text[position + 1 :]

    try:
        assert SealedValue.parse(respelt).text() == respelt
    except Tampered:
        assert respelt != text


def test_the_commitment_is_checked_before_anything_is_decrypted(monkeypatch):
    sealed = SealedValue.parse(seal(KEY, SCOPE, BINDING, VALUE))
    asked = []
    monkeypatch.setattr(sealing, "decrypt", lambda *arguments: asked.append(arguments))

    with pytest.raises(Tampered, match="commitment"):
        unseal(KEY, replace(sealed, commitment=flipped(sealed.commitment, 31)), BINDING)
    assert asked == []


def test_a_ciphertext_that_opens_under_two_keys_is_committed_to_one():
    """AES-GCM alone would take this forgery: the same tag made to fit under another key."""
    other = bytes(32)
    sealed = SealedValue.parse(seal(KEY, SCOPE, BINDING, VALUE))
    keys = hkdf_expand(other, prefixed(b"ck1/keys"), 64)
    associated = associated_data(BINDING, SCOPE)
    forged = replace(sealed, ciphertext=encrypt(keys[:32], sealed.nonce, pad(b'{"reason":"forged"}'), associated))

    with pytest.raises(Tampered, match="commitment"):
        unseal(other, forged, BINDING)


@pytest.mark.parametrize("plaintext", [b"[1]", b"{", b"\xff", b"null"])
def test_a_keyholder_s_plaintext_that_is_no_object_is_refused(plaintext):
    keys = hkdf_expand(KEY, prefixed(b"ck1/keys"), 64)
    associated = associated_data(BINDING, SCOPE)
    nonce = bytes(12)
    commitment = hmac_sha256(keys[32:], prefixed(b"ck1/commitment", associated, nonce))
    forged = SealedValue(SCOPE, nonce, encrypt(keys[:32], nonce, pad(plaintext), associated), commitment)

    with pytest.raises(Tampered):
        unseal(KEY, forged, BINDING)


@pytest.mark.parametrize("value", [{"a": float("nan")}, {"a": {1, 2}}, {"a": CANARY + "\ud800"}, {"a": object()}])
def test_what_json_cannot_hold_is_refused_by_field_without_the_value(value):
    with pytest.raises(InvalidInput) as refused:
        seal(KEY, SCOPE, BINDING, value)

    assert [problem.field for problem in refused.value.problems] == ["answers"]
    assert CANARY not in str(refused.value)
    assert refused.value.__suppress_context__
    assert refused.value.__cause__ is None


def test_a_value_too_large_is_refused():
    with pytest.raises(EventTooLarge):
        seal(KEY, SCOPE, BINDING, {"a": "x" * 400_000})


def test_an_event_key_opens_one_field_of_one_event():
    data_key = SecretKey.new()
    places = [
        BINDING,
        replace(BINDING, event_id=uuid4()),
        replace(BINDING, field="identity"),
    ]

    assert len({event_key(data_key, place) for place in places}) == 3
    assert event_key(data_key, replace(BINDING, stream_id=uuid4())) == event_key(data_key, BINDING)


def test_a_key_is_not_shown_and_not_pickled():
    key = SecretKey(b"k" * 32)

    assert "k" * 3 not in repr(key) + str(key) + f"{[key]}"
    with pytest.raises(TypeError):
        key.__reduce__()


def test_a_fingerprint_names_a_key_and_is_no_part_of_it():
    one, other = SecretKey(b"k" * 32), SecretKey(b"l" * 32)

    assert one.fingerprint() == SecretKey(b"k" * 32).fingerprint() != other.fingerprint()
    assert len(one.fingerprint()) == 32
    assert b"kk" not in one.fingerprint()


def test_a_wrapped_key_opens_only_with_its_key_and_place():
    parent, child = SecretKey.new(), SecretKey.new()
    wrapped = parent.wrap(child, b"here")

    assert len(wrapped) == 60
    assert parent.unwrap(wrapped, b"here").fingerprint() == child.fingerprint()
    for key, raw, place in [
        (SecretKey.new(), wrapped, b"here"),
        (parent, wrapped, b"there"),
        *((parent, flipped(wrapped, position), b"here") for position in range(60)),
    ]:
        with pytest.raises(Tampered):
            key.unwrap(raw, place)
