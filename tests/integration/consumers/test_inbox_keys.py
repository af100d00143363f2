"""The inbox's keys: replaced daily, kept as long as a message to them may lie on the topic, never made again."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from application import inbox_keys
from application.service import Service
from domain.errors import KeyringMismatch

WEEKS = count()


@pytest.fixture
def born() -> datetime:
    """A moment in a week of the test's own, so that no other test's key is in it."""
    return datetime(2031, 5, 4, 10, 0, tzinfo=UTC) + timedelta(weeks=next(WEEKS))


@pytest.fixture
def kid(service: Service, born: datetime) -> str:
    return inbox_keys.rotate(service.vault, born)


def test_a_key_is_current_for_a_day(service: Service, kid: str, born: datetime) -> None:
    assert inbox_keys.current_kid(service.vault, born + timedelta(hours=23, minutes=59)) == kid
    assert inbox_keys.current_kid(service.vault, born + timedelta(hours=24)) != kid


def test_the_published_key_belongs_to_the_private_one(service: Service, kid: str, born: datetime) -> None:
    jwk = inbox_keys.current_jwk(service.vault, born)
    secret = inbox_keys.private_key(service.vault, kid, born, born)

    assert (jwk["kid"], jwk["kty"], jwk["crv"], jwk["alg"]) == (kid, "OKP", "X25519", "ECDH-ES+A256KW")
    assert "d" not in jwk
    own, public = X25519PrivateKey.generate(), _public(jwk["x"])
    assert own.exchange(public) == X25519PrivateKey.from_private_bytes(secret).exchange(own.public_key())


def test_a_key_outlives_its_messages_and_is_then_destroyed(service: Service, kid: str, born: datetime) -> None:
    last_message = born + timedelta(hours=25)
    gone_from_topic = last_message + timedelta(hours=25)

    assert kid not in inbox_keys.destroy_expired(service.vault, gone_from_topic)
    assert inbox_keys.private_key(service.vault, kid, last_message, gone_from_topic) is not None
    later = gone_from_topic + timedelta(hours=1, seconds=1)
    assert kid in inbox_keys.destroy_expired(service.vault, later)
    assert inbox_keys.private_key(service.vault, kid, last_message, later) is None


@pytest.mark.parametrize(
    "kid",
    [
        "20310504100000-0000000000000000",
        "20310504100000-00000000",
        "99999999999999-0000000000000000",
        "\u0662\u0660310504100000-0000000000000000",
        "../../relay-mac",
        "",
        "20310504100000-000000000000000G",
        "x" * 300,
    ],
)
def test_asking_for_a_key_makes_none(service: Service, kid: str, born: datetime) -> None:
    before = service.vault.secrets()

    assert inbox_keys.private_key(service.vault, kid, born, born) is None
    assert service.vault.secrets() == before


def test_a_key_that_was_made_and_is_missing_is_told_from_one_that_was_made_up(
    service: Service, kid: str, born: datetime
) -> None:
    service.vault.destroy_secret(f"inbox-key-{kid}")
    stamp, mark = kid.split("-")
    made_up = f"{stamp}-{int(mark, 16) ^ 1:016x}"
    gone_from_topic = born + timedelta(hours=50)

    for sent in (born - timedelta(hours=1), born + timedelta(hours=25), born + timedelta(hours=26)):
        for moment in (sent, gone_from_topic):
            with pytest.raises(KeyringMismatch):
                inbox_keys.private_key(service.vault, kid, sent, moment)
            assert inbox_keys.private_key(service.vault, made_up, sent, moment) is None
        assert inbox_keys.private_key(service.vault, kid, sent, gone_from_topic + timedelta(seconds=1)) is None
    assert f"inbox-key-{kid}" not in service.vault.secrets(), "asking made it again"


def test_a_missing_key_is_not_missed_by_what_cannot_have_been_encrypted_to_it(
    service: Service, kid: str, born: datetime
) -> None:
    service.vault.destroy_secret(f"inbox-key-{kid}")
    second = timedelta(seconds=1)

    for sent in (
        datetime.min.replace(tzinfo=UTC),
        born - timedelta(hours=1) - second,
        born + timedelta(hours=26) + second,
        datetime.max.replace(tzinfo=UTC),
    ):
        assert inbox_keys.private_key(service.vault, kid, sent, born) is None
        assert inbox_keys.private_key(service.vault, kid, sent, born + timedelta(hours=30)) is None


def test_no_stranger_guesses_what_marks_a_key(kid: str) -> None:
    assert re.fullmatch(r"[0-9]{14}-[0-9a-f]{16}", kid)


def test_missing_keys_that_were_given_up_are_missed_no_more_and_kept_ones_open_as_before(
    service: Service, kid: str, born: datetime
) -> None:
    kept = inbox_keys.rotate(service.vault, born + timedelta(hours=1))
    secret = inbox_keys.private_key(service.vault, kept, born, born)
    service.vault.destroy_secret(f"inbox-key-{kid}")
    moment = born + timedelta(hours=2)
    made = inbox_keys.give_up_missing(service.vault, moment)

    assert inbox_keys.private_key(service.vault, kid, moment, moment) is None
    assert inbox_keys.private_key(service.vault, kept, moment, moment) == secret
    assert inbox_keys.current_kid(service.vault, moment) == made
    service.vault.destroy_secret(f"inbox-key-{made}")
    with pytest.raises(KeyringMismatch):
        inbox_keys.private_key(service.vault, made, moment, moment)


def looked_after(service: Service, moment: datetime) -> None:
    inbox_keys.note_ahead(service.vault, lambda: moment)
    inbox_keys.destroy_expired(service.vault, moment)


@pytest.mark.parametrize("ahead", [timedelta(minutes=59), timedelta(hours=3), timedelta(days=1), timedelta(days=400)])
def test_a_key_made_by_a_clock_that_was_ahead_is_gone_when_certificates_say_so(
    service: Service, born: datetime, ahead: timedelta
) -> None:
    kid = inbox_keys.rotate(service.vault, born + ahead)
    looked_after(service, born + timedelta(minutes=1))
    by = inbox_keys.gone_by(born + timedelta(minutes=1))
    last_on_topic = born + timedelta(hours=50)
    looked_after(service, last_on_topic)

    assert inbox_keys.private_key(service.vault, kid, born, last_on_topic) is not None
    # The schedule looks every minute.
    looked_after(service, by - timedelta(minutes=1))
    assert f"inbox-key-{kid}" not in service.vault.secrets()


@pytest.mark.parametrize("hours", [30, 40, 50])
def test_a_key_that_is_gone_before_the_birth_it_says_is_used_late_no_more_and_not_missed(
    service: Service, born: datetime, hours: int
) -> None:
    says = born + timedelta(hours=hours)
    kid = inbox_keys.rotate(service.vault, says)
    looked_after(service, born)

    assert inbox_keys.current_kid(service.vault, says + timedelta(minutes=1)) != kid
    looked_after(service, born + timedelta(hours=51, minutes=1))
    late = says + timedelta(hours=2)
    assert inbox_keys.private_key(service.vault, kid, late, late) is None
    looked_after(service, says + timedelta(hours=51, minutes=1))
    assert [name for name in service.vault.secrets() if kid in name] == []


@pytest.mark.parametrize("behind", [timedelta(hours=10), timedelta(days=3), timedelta(days=400)])
def test_a_clock_that_was_behind_for_a_moment_costs_no_message(
    service: Service, kid: str, born: datetime, behind: timedelta
) -> None:
    noted = born + timedelta(hours=2)
    looked_after(service, noted - behind)
    given_out = [
        hour for hour in range(24) if inbox_keys.current_kid(service.vault, born + timedelta(hours=hour)) == kid
    ]
    last_on_topic = born + timedelta(hours=max(given_out) + 1 + 25)
    looked_after(service, last_on_topic)

    assert inbox_keys.private_key(service.vault, kid, born, last_on_topic) is not None


def test_a_process_that_stood_still_takes_no_later_key_for_one_of_a_clock_that_was_ahead(
    service: Service, born: datetime
) -> None:
    before = set(service.vault.secrets())
    made = []

    def stopped_before() -> datetime:
        made.append(inbox_keys.rotate(service.vault, born + timedelta(days=1)))
        return born

    inbox_keys.note_ahead(service.vault, stopped_before)

    assert set(service.vault.secrets()) - before - {"inbox-kid"} == {f"inbox-key-{made[0]}"}


def _public(x: str) -> X25519PublicKey:
    return X25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(x + "="))
