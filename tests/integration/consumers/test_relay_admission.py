"""A store that was restarted, or restored to the past: closed to writes until it was compared with the topic."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from log_copy import LogCopy, record

from application.settings import Settings
from consumers import relay
from consumers.clients import producer
from consumers.relay import Relay
from consumers.tail import TopicTail
from domain.errors import KafkaUnavailable, KeysUnavailable, StoreUnavailable
from store.append import NewEvent
from store.head_file import HeadFile
from store.log import EventLog
from store.migrate import migrate
from tests.waiting import until


class Hasty(Relay):
    grace_seconds = 0.5


class KeysAwayAtFirst:
    """What compares the keys before writes are admitted: it fails once, and notes whether the store was closed."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.tries: list[tuple[str, bool]] = []

    def __call__(self, alive: Callable[[], None]) -> None:
        alive()
        outcome = "compared" if self.tries else "away"
        self.tries.append((outcome, self._log.admission().admitted))
        if outcome == "away":
            raise KeysUnavailable("away for a moment")


def noted(folder: Path, copy: LogCopy, position: int) -> Path:
    """Return a folder whose head file says that the log had come so far."""
    with EventLog(copy.settings.events_dsn) as log:
        file = HeadFile(folder / "heads", log.log_id())
    file.raise_to(position)
    file.close()
    return folder / "heads"


class TestStoreRestoredToThePast:
    """A store with fewer events than the topic, as after a restore."""

    @pytest.fixture
    def published(self, log_copy: LogCopy) -> LogCopy:
        log_copy.admit()
        certificate, person, scope = str(uuid4()), uuid4(), str(uuid4())
        fenced = {
            "request_id": str(uuid4()),
            "certificate_id": certificate,
            "whole_person": True,
            "scope_ids": [scope],
            "withheld": [],
            "withheld_grounds": [],
        }
        log_copy.append(
            *(record() for _ in range(15)), record("ErasureFenced", stream_id=person, data=fenced), record()
        )
        self.fenced = {person: "subject", scope: "scope"}
        with log_copy.relaying():
            until(lambda: len(log_copy.raw()) == 17)
        return log_copy

    def restored(self, published: LogCopy, dsn: str, events: list) -> LogCopy:
        migrate(dsn)
        settings = Settings(**{**vars(published.settings), "events_dsn": dsn})
        copy = LogCopy(settings)
        copy.log.refill(1, events, [])
        return copy

    def stays_closed_while(
        self, owner: object, failing: str, published: LogCopy, dsn: str, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failed: list[float] = []

        def away(*_: object) -> None:
            failed.append(time.monotonic())
            raise KafkaUnavailable("Kafka: away")

        kept = [NewEvent.parse(stored.position, stored.record) for stored in published.log.read_from(1, 10)]
        copy = self.restored(published, dsn, kept)
        copy.log.close()
        copy.log = EventLog(copy.settings.events_dsn, heads=noted(folder, copy, 10))
        with copy.relaying(lambda report: Hasty(copy.settings, copy.log, copy.mac, report)):
            with monkeypatch.context() as patch:
                patch.setattr(owner, failing, away)
                until(lambda: len(failed) > 1 and failed[-1] - failed[0] > 3 * Hasty.grace_seconds)
                assert not copy.log.admission().admitted
            until(lambda: copy.log.admission().admitted)

        assert copy.stored() == published.stored()
        copy.close()

    def test_is_filled_up_before_it_takes_writes(self, published: LogCopy, pg_main: str, new_database) -> None:
        kept = [NewEvent.parse(stored.position, stored.record) for stored in published.log.read_from(1, 10)]
        copy = self.restored(published, new_database(pg_main, "restored"), kept)
        with pytest.raises(StoreUnavailable):
            copy.append(record())
        with copy.relaying():
            until(lambda: copy.log.admission().admitted)
            assert copy.stored() == published.stored()
            copy.append(record())
            until(lambda: len(copy.raw()) == 18)

        fences = copy.log.fenced([*(k for k in self.fenced if not isinstance(k, str))])
        assert [fence.kind for fence in fences.values()] == ["subject"]
        assert copy.read() == copy.stored()
        copy.close()

    def test_keys_are_compared_before_it_takes_writes_although_they_were_away_when_it_was_filled_up(
        self, published: LogCopy, pg_main: str, new_database
    ) -> None:
        """The second try finds nothing left to copy back, as does a worker that takes over from one that died."""
        kept = [NewEvent.parse(stored.position, stored.record) for stored in published.log.read_from(1, 10)]
        copy = self.restored(published, new_database(pg_main, "restored"), kept)
        keys = KeysAwayAtFirst(copy.log)
        with copy.relaying(lambda report: Relay(copy.settings, copy.log, copy.mac, report, keys)):
            until(lambda: copy.log.admission().admitted)

        assert copy.stored() == published.stored()
        assert keys.tries == [("away", False), ("compared", False)]
        copy.close()

    def test_stays_closed_where_the_topic_goes_away_while_it_is_filled_up(
        self, published: LogCopy, pg_main: str, new_database, tmp_path: Path, monkeypatch
    ) -> None:
        """This machine's head file knows less than the topic was seen to have: its word is not enough any more."""
        self.stays_closed_while(
            relay, "TopicReader", published, new_database(pg_main, "restored"), tmp_path, monkeypatch
        )

    def test_stays_closed_where_the_topic_goes_away_while_all_of_it_is_read(
        self, published: LogCopy, pg_main: str, new_database, tmp_path: Path, monkeypatch
    ) -> None:
        """A strange record among the events has the relay read everything; it had seen the end before that."""
        strange = producer(published.settings.kafka)
        strange.send(published.topic, value=b"strange").get(timeout=10)
        strange.close(timeout=5)
        with published.relaying():
            published.append(record())
            until(lambda: len(published.raw()) == 19)
        self.stays_closed_while(
            TopicTail, "everything", published, new_database(pg_main, "restored"), tmp_path, monkeypatch
        )

    def test_halts_when_it_went_on_differently(self, published: LogCopy, pg_main: str, new_database) -> None:
        kept = [NewEvent.parse(stored.position, stored.record) for stored in published.log.read_from(1, 9)]
        copy = self.restored(published, new_database(pg_main, "restored"), [*kept, record()])
        with copy.relaying() as part:
            until(lambda: part.said.state == "halted")

        assert part.said.code == "LogDiverged"
        assert not copy.log.admission().admitted
        assert copy.log.head() == 10
        copy.close()

    def test_halts_when_it_is_longer_and_differs(self, published: LogCopy, pg_main: str, new_database) -> None:
        kept = [NewEvent.parse(stored.position, stored.record) for stored in published.log.read_from(1, 16)]
        copy = self.restored(published, new_database(pg_main, "restored"), [*kept, record(), record()])
        with copy.relaying() as part:
            until(lambda: part.said.state == "halted")

        assert part.said.code == "LogDiverged"
        assert not copy.log.admission().admitted
        copy.close()


def test_a_database_restarted_under_the_relay_is_admitted_again(log_copy: LogCopy) -> None:
    log_copy.admit()
    with log_copy.relaying() as part:
        until(lambda: part.said.state == "running")
        log_copy.close_admission()
        until(lambda: log_copy.log.admission().admitted)
        log_copy.append(record())
        until(lambda: len(log_copy.raw()) == 1)

    assert log_copy.read() == log_copy.stored()


@pytest.mark.parametrize("is_noted", [True, False])
def test_without_kafka_writes_go_on_where_the_head_is_known(log_copy: LogCopy, tmp_path: Path, is_noted: bool) -> None:
    log_copy.log.close()
    log_copy.log = EventLog(log_copy.settings.events_dsn, heads=tmp_path / "heads" if is_noted else None)
    log_copy.admit()
    log_copy.append()
    log_copy.close_admission()
    settings = Settings(**{**vars(log_copy.settings), "kafka": "127.0.0.1:9"})
    with log_copy.relaying(lambda report: Hasty(settings, log_copy.log, log_copy.mac, report)) as part:
        if is_noted:
            until(lambda: log_copy.log.admission().admitted)
            log_copy.append(record())
        else:
            until(lambda: part.said.code == "StoreUnavailable")

    assert log_copy.log.head() == (21 if is_noted else 20)
    assert log_copy.log.admission().admitted is is_noted


def test_without_kafka_keys_are_compared_before_writes_go_on(log_copy: LogCopy, tmp_path: Path) -> None:
    log_copy.log.close()
    log_copy.log = EventLog(log_copy.settings.events_dsn, heads=tmp_path / "heads")
    log_copy.admit()
    log_copy.append()
    log_copy.close_admission()
    settings = Settings(**{**vars(log_copy.settings), "kafka": "127.0.0.1:9"})
    keys = KeysAwayAtFirst(log_copy.log)
    with log_copy.relaying(lambda report: Hasty(settings, log_copy.log, log_copy.mac, report, keys)):
        until(lambda: log_copy.log.admission().admitted)

    assert keys.tries == [("away", False), ("compared", False)]


def test_an_outage_that_another_worker_saw_the_end_of_counts_no_more(
    log_copy: LogCopy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours later, the first failure of one that waited is the beginning of another outage."""
    log_copy.admit()
    log_copy.append()
    other = LogCopy(log_copy.settings)
    other.log.close()
    other.log = EventLog(log_copy.settings.events_dsn, heads=noted(tmp_path, log_copy, 20))
    waits = other.relay()
    waits._lost_at = time.monotonic() - 3600
    failed: list[float] = []

    def away(*_: object) -> None:
        failed.append(time.monotonic())
        raise KafkaUnavailable("Kafka: away")

    with log_copy.relaying() as leading:
        until(lambda: leading.said.state == "running" and len(log_copy.raw()) == 20)
        with other.relaying(lambda report: waits) as part:
            until(lambda: waits._lost_at is None, 20)
            monkeypatch.setattr("consumers.relay.topics.ensure_topics", away)
            log_copy.close_admission()
            # Whoever leads looks at the database every second, finds it closed and has to begin again.
            until(lambda: len(failed) >= 4)
            assert not other.log.admission().admitted
            assert part.is_alive()
    other.close()


def test_who_no_longer_leads_admits_nothing(log_copy: LogCopy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was stopped while it tried to reach Kafka wakes when another has taken over."""
    log_copy.admit()
    log_copy.append()
    log_copy.log.close()
    log_copy.log = EventLog(log_copy.settings.events_dsn, heads=noted(tmp_path, log_copy, 20))
    log_copy.close_admission()
    tries = []

    def taken_over(*_: object) -> None:
        with log_copy.log._reads.transaction() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name LIKE 'casekeeper lead%'"
            )
            tries.append(cursor.fetchone())
        time.sleep(2 * Hasty.grace_seconds)
        raise KafkaUnavailable("Kafka: away")

    with log_copy.relaying(lambda report: Hasty(log_copy.settings, log_copy.log, log_copy.mac, report)):
        with monkeypatch.context() as patch:
            patch.setattr("consumers.relay.topics.ensure_topics", taken_over)
            until(lambda: len(tries) >= 3)
            assert not log_copy.log.admission().admitted
        until(lambda: log_copy.log.admission().admitted)

    assert set(tries) == {(1,)}
