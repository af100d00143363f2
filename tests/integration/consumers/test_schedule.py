"""What is due by the clock: consents that have run out, secrets whose time is over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg2
import pytest

from application import inbox_keys, signing_keys
from application.caller import Caller
from application.examples import BODIES
from application.service import Service
from application.settings import Settings
from consumers.schedule import Schedule
from domain.record import Record
from projections import positions
from projections.consents import Consents
from projections.views import Views

FOR_PERSON = Caller("forms", "f1", frozenset({"service"}), "rights", "api", uuid4())
INTAKE = Caller("forms", "f1", frozenset({"service"}), "intake", "api", uuid4())
OFFICER = Caller("staff", "p1", frozenset({"privacy_officer"}), "rights", "api", uuid4())
NOW = datetime.now(UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(service: Service, clock: Clock) -> Service:
    """The service by a clock that tests can set."""
    return Service(service.resources, service.reading, clock)


@pytest.fixture
def schedule(timed: Service, settings: Settings) -> Iterator[Schedule]:
    views = Views(settings.views_dsn)
    yield Schedule(settings, timed, views, lambda *_: None)
    views.close()


def consent(service: Service, until: datetime | None) -> tuple[str, str]:
    """Grant a consent; return person and consent."""
    person = service.execute("register_subject", INTAKE, {}, BODIES["register_subject"]).body["id"]
    recipient = service.execute("register_agreement", OFFICER, {}, BODIES["register_agreement"]).body["recipient_id"]
    terms = {**BODIES["grant_consent"], "recipient_ids": [recipient], "valid_until": until and until.isoformat()}
    return person, service.execute("grant_consent", FOR_PERSON, {"subject_id": person}, terms).body["id"]


def catch_up(service: Service, settings: Settings) -> None:
    """Let the view of consents take in what the log has."""
    connection = psycopg2.connect(settings.views_dsn)
    view = Consents()
    position = positions.prepare(connection, view)
    with connection, connection.cursor() as cursor:
        for stored in service.log.read_from(position + 1, 10_000):
            view.apply(cursor, Record.parse(stored.position, stored.record))
            positions.advance(cursor, view.name, stored.position - 1, stored.position)
    connection.close()


def types(service: Service, person: str) -> list[str]:
    return [stored.type for stored in service.log.read_stream(UUID(person))]


def test_a_consent_expires_when_its_time_is_over_and_once(timed, settings, schedule, clock) -> None:
    over, _ = consent(timed, NOW + timedelta(hours=1))
    lasting, _ = consent(timed, NOW + timedelta(days=2))
    unlimited, _ = consent(timed, None)
    catch_up(timed, settings)
    schedule.once(clock.now)
    before = types(timed, over)
    clock.now = NOW + timedelta(hours=1, seconds=1)
    schedule.once(clock.now)
    # The view is behind: it says the consent is due still.
    schedule.once(clock.now)

    assert "ConsentExpired" not in before
    assert types(timed, over).count("ConsentExpired") == 1
    assert "ConsentExpired" not in types(timed, lasting) + types(timed, unlimited)


def test_a_new_inbox_key_is_there_before_anybody_asks(timed, settings, schedule, clock) -> None:
    catch_up(timed, settings)
    clock.now = NOW + timedelta(days=400)
    schedule.once(clock.now)

    kid = inbox_keys.current_kid(timed.vault, clock.now)
    assert kid.startswith(f"{clock.now:%Y%m%d%H%M%S}")


def test_secrets_past_their_time_are_destroyed(timed, settings, schedule, clock) -> None:
    catch_up(timed, settings)
    old = inbox_keys.rotate(timed.vault, NOW)
    timed.vault.secret(f"body-mac-{NOW:%Y-%m-%d}")
    clock.now = NOW + timedelta(days=4)
    schedule.replace_secrets(clock.now)

    assert inbox_keys.private_key(timed.vault, old, NOW, clock.now) is None
    assert f"body-mac-{NOW:%Y-%m-%d}" not in timed.vault.secrets()


def test_a_schedule_that_stood_still_for_two_days_destroys_no_key_of_today(timed, schedule, clock) -> None:
    clock.now = NOW + timedelta(days=3)
    key, body = str(uuid4()), BODIES["register_subject"]
    first = timed.execute("register_subject", INTAKE, {}, body, key)
    before = timed.vault.secrets()
    schedule.replace_secrets(clock.now - timedelta(days=2))
    # Whatever comes next makes today's key, where there is none.
    timed.execute("register_subject", INTAKE, {}, body, str(uuid4()))

    assert f"body-mac-{clock.now:%Y-%m-%d}" in before
    assert timed.execute("register_subject", INTAKE, {}, body, key).body == first.body


def test_what_is_made_while_a_schedule_stands_still_at_its_look_at_the_clock_is_left_alone(timed) -> None:
    before = NOW + timedelta(days=10)
    today = before + timedelta(days=2)

    def stopped_for_two_days() -> datetime:
        timed.vault.secret(f"body-mac-{today:%Y-%m-%d}")
        return before

    timed.vault.secret(f"body-mac-{before - timedelta(days=2):%Y-%m-%d}")
    gone = timed.idempotency.destroy_old(stopped_for_two_days)

    assert f"body-mac-{before - timedelta(days=2):%Y-%m-%d}" in gone
    assert f"body-mac-{today:%Y-%m-%d}" in timed.vault.secrets()


def test_the_key_that_outcomes_are_signed_with_is_replaced_and_the_old_one_kept_a_while(timed, schedule) -> None:
    start = NOW + timedelta(days=2_000)

    def published(days: float) -> list[str]:
        schedule.replace_secrets(start + timedelta(days=days))
        return [key["kid"] for key in signing_keys.public_keys(timed.vault, start, signing_keys.OUTCOMES)]

    [first, *_], month, week_later, past = published(0), published(31), published(31 + 7), published(31 + 9)

    assert month[1] == first
    assert month[0] != first
    assert week_later == month
    assert past == month[:1]
