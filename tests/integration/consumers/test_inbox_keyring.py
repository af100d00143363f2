"""A keyring of another moment or installation holds the inbox: nothing is refused, set aside or passed over.

What can be no honest message holds nothing, whatever key it names.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from publishing import Answers, Publisher, answered, taking
from service_stores import ServiceStores
from test_inbox import register

from application import inbox_keys
from application.examples import BODIES
from application.service import Service
from application.settings import Settings
from store.migrate import migrate
from tests.keyrings import files_of, of_files
from tests.waiting import until
from vault.vault import MIGRATIONS, Vault

pytestmark = of_files
PERSON = BODIES["register_subject"]
MakeWrong = Callable[[Service, Path, Path], None]


def of_yesterday(service: Service, keyring: Path, copy: Path) -> None:
    """Copy the keyring as it was before today's secrets were made, nobody having been forgotten since."""
    shutil.copytree(keyring, copy)
    inbox_key(service, copy).unlink()
    (copy / f"secret-body-mac-{datetime.now(UTC):%Y-%m-%d}.key").unlink(missing_ok=True)


def of_yesterday_before_an_erasure(service: Service, keyring: Path, copy: Path) -> None:
    of_yesterday(service, keyring, copy)
    erase_somebody(service)


def of_before_an_erasure(service: Service, keyring: Path, copy: Path) -> None:
    """Copy a keyring with which messages open, and nothing can be sealed any more."""
    shutil.copytree(keyring, copy)
    erase_somebody(service)


def with_a_damaged_key(service: Service, keyring: Path, copy: Path) -> None:
    shutil.copytree(keyring, copy)
    inbox_key(service, copy).write_bytes(b"{damaged")


def inbox_key(service: Service, folder: Path) -> Path:
    return folder / f"secret-inbox-key-{inbox_keys.current_kid(service.vault, service.clock())}.key"


def erase_somebody(service: Service) -> None:
    """Destroy a person's keys, which gives the tree another root key."""
    service.vault.destroy(uuid4(), datetime.now(UTC), [UUID(register(service))], [])


@pytest.fixture
def of_another_installation(pg_keys: str, new_database: Callable[..., str]) -> MakeWrong:
    def make(service: Service, keyring: Path, folder: Path) -> None:
        dsn = new_database(pg_keys, "other_keys")
        migrate(dsn, MIGRATIONS)
        vault = Vault.open_at(dsn, folder)
        inbox_keys.rotate(vault, datetime.now(UTC))
        vault.close()

    return make


@contextmanager
def mounted(wrong: Path, keyring: Path) -> Iterator[None]:
    """Have another folder where the keyring's is."""
    away = keyring.with_name(f"{keyring.name}-away")
    keyring.rename(away)
    wrong.rename(keyring)
    try:
        yield
    finally:
        keyring.rename(wrong)
        away.rename(keyring)


@pytest.mark.parametrize(
    "wrong_keyring",
    [
        of_yesterday,
        of_yesterday_before_an_erasure,
        of_before_an_erasure,
        with_a_damaged_key,
        "of_another_installation",
    ],
    ids=lambda made: made if isinstance(made, str) else made.__name__,
)
def test_a_wrong_keyring_holds_messages_and_loses_none(
    service: Service,
    settings: Settings,
    publisher: Publisher,
    answers: Answers,
    service_stores: ServiceStores,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    wrong_keyring: MakeWrong | str,
) -> None:
    make = request.getfixturevalue(wrong_keyring) if isinstance(wrong_keyring, str) else wrong_keyring
    keyring, wrong = files_of(service_stores.keyring), tmp_path / "wrong"
    register(service)
    ids = [publisher.send("register_subject", PERSON) for _ in range(5)]
    make(service, keyring, wrong)
    names = sorted(file.name for file in wrong.glob("*.key"))
    mount = ExitStack()
    mount.enter_context(mounted(wrong, keyring))
    with mount, taking(service, settings) as part:
        until(lambda: part.said.code == "KeyringMismatch" or answers.dead_letters(), 30)
        held = answers.committed(), answers.outcomes(), answers.dead_letters()
        state = part.said.state
        mount.close()
        outcomes = answered(answers, *ids)
        until(lambda: answers.committed() == 5)
        until(lambda: part.said.code == "")

    assert held == (0, {}, [])
    assert state == "retrying"
    assert {outcome["status"] for outcome in outcomes} == {"accepted"}
    assert sorted(file.name for file in wrong.glob("*.key")) == names, "no key was made or destroyed in it"


def to_a_lost_key(service: Service, keyring: Path, publisher: Publisher, age: timedelta) -> bytes:
    """Return a message to a key of that age whose file the keyring has no more: as cheap as a stranger's may be."""
    kid = inbox_keys.rotate(service.vault, datetime.now(UTC) - age)
    (keyring / f"secret-inbox-key-{kid}.key").unlink()
    return publisher.encrypt("x", kid=kid).encode()


def test_what_was_sent_while_nobody_used_a_lost_key_holds_nothing(
    service: Service,
    settings: Settings,
    publisher: Publisher,
    answers: Answers,
    service_stores: ServiceStores,
) -> None:
    # A day of use, an hour in clients, an hour between clocks: 26 hours after the birth, or one before it, at most.
    ages = [timedelta(hours=26, minutes=1), timedelta(hours=49), timedelta(hours=-1, minutes=-1), -timedelta(days=365)]
    for partition, age in enumerate(ages):
        publisher.put(to_a_lost_key(service, files_of(service_stores.keyring), publisher, age), partition=partition)
    ids = [publisher.send("register_subject", PERSON, partition=partition) for partition in range(4)]
    with taking(service, settings) as part:
        until(lambda: part.said.code == "KeyringMismatch" or answers.committed() == 8, 30)
        held = part.said.code
        outcomes = answers.outcomes()

    assert held == ""
    assert [outcomes[message_id][-1]["status"] for message_id in ids] == ["accepted"] * 4
    letters = answers.dead_letters()
    assert [dict(letter.headers)["ck-error"] for letter in letters] == [b"NotAuthenticated"] * 4


def test_a_message_to_a_lost_key_holds_until_lost_keys_are_given_up(
    service: Service,
    settings: Settings,
    publisher: Publisher,
    answers: Answers,
    service_stores: ServiceStores,
) -> None:
    keyring = files_of(service_stores.keyring)
    before = publisher.send("register_subject", PERSON, partition=0)
    lost = to_a_lost_key(service, keyring, publisher, timedelta(hours=25, minutes=30))
    publisher.put(lost, partition=0)
    behind = publisher.send("register_subject", PERSON, partition=0)
    with taking(service, settings) as part:
        until(lambda: part.said.code == "KeyringMismatch" or answers.dead_letters(), 30)
        held = answers.committed(), set(answers.outcomes()), answers.dead_letters()
        inbox_keys.give_up_missing(service.vault, datetime.now(UTC))
        publisher.put(lost, partition=0)
        last = publisher.send("register_subject", PERSON, partition=0)
        outcomes = answered(answers, before, behind, last)
        until(lambda: answers.committed() == 5)

    assert held == (1, {before}, [])
    assert {outcome["status"] for outcome in outcomes} == {"accepted"}
    assert len(answers.dead_letters()) == 2
