"""The ``eventsourcing`` library's own test classes, unchanged, on our persistence module."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.domain import Aggregate
from eventsourcing.domain import event as library_event
from eventsourcing.persistence import InfrastructureFactory, IntegrityError, OperationalError, StoredEvent, Tracking
from eventsourcing.tests import persistence as library
from eventsourcing.utils import Environment

from domain.errors import AlreadyDone, ConcurrencyConflict, Fenced, StoreUnavailable
from store.append import Fence, Idempotency
from store.log import EventLog
from store.persistence import PostgresFactory
from store.recorders import (
    PostgresAggregateRecorder,
    PostgresApplicationRecorder,
    PostgresProcessRecorder,
    PostgresTrackingRecorder,
)


@pytest.fixture
def environment(events_dsn: str) -> Environment:
    settings = {"PERSISTENCE_MODULE": "store.persistence", "CASEKEEPER_EVENTS_DSN": events_dsn}
    return Environment(name="Cases", env=settings)


@pytest.fixture
def factory(environment: Environment) -> Iterator[PostgresFactory]:
    factory = InfrastructureFactory.construct(environment)
    assert isinstance(factory, PostgresFactory)
    yield factory
    factory.close()


class OnOurStore:
    """Hands the factory to the library's unittest classes."""

    factory: PostgresFactory

    @pytest.fixture(autouse=True)
    def _use(self, factory: PostgresFactory) -> None:
        self.factory = factory


class TestAggregateRecorder(OnOurStore, library.AggregateRecorderTestCase):
    def create_recorder(self) -> PostgresAggregateRecorder:
        return self.factory.aggregate_recorder()


class TestApplicationRecorder(OnOurStore, library.ApplicationRecorderTestCase[PostgresApplicationRecorder]):
    def create_recorder(self) -> PostgresApplicationRecorder:
        return self.factory.application_recorder()

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()
        assert self.factory.log.head() == 3, "the library's test appends three events"


class TestTrackingRecorder(OnOurStore, library.TrackingRecorderTestCase):
    def create_recorder(self) -> PostgresTrackingRecorder:
        return self.factory.tracking_recorder()


class TestProcessRecorder(OnOurStore, library.ProcessRecorderTestCase):
    def create_recorder(self) -> PostgresProcessRecorder:
        return self.factory.process_recorder()


class TestNonInterleavingNotificationIDs(OnOurStore, library.NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> PostgresApplicationRecorder:
        return self.factory.application_recorder()


class OwnTrackingRecorder(PostgresTrackingRecorder):
    pass


class TestInfrastructureFactory(library.InfrastructureFactoryTestCase[PostgresFactory]):
    @pytest.fixture(autouse=True)
    def _use(self, environment: Environment) -> None:
        self.env = environment

    def expected_factory_class(self) -> type[PostgresFactory]:
        return PostgresFactory

    def expected_aggregate_recorder_class(self) -> type[PostgresAggregateRecorder]:
        return PostgresAggregateRecorder

    def expected_application_recorder_class(self) -> type[PostgresApplicationRecorder]:
        return PostgresApplicationRecorder

    def expected_tracking_recorder_class(self) -> type[PostgresTrackingRecorder]:
        return PostgresTrackingRecorder

    def tracking_recorder_subclass(self) -> type[PostgresTrackingRecorder]:
        return OwnTrackingRecorder

    def expected_process_recorder_class(self) -> type[PostgresProcessRecorder]:
        return PostgresProcessRecorder


class Counter(Aggregate):
    @library_event("Counted")
    def count(self) -> None:
        self.counted = getattr(self, "counted", 0) + 1


def test_an_application_of_the_library_runs_on_the_log(environment: Environment, events_dsn: str) -> None:
    settings = {**environment, "IS_SNAPSHOTTING_ENABLED": "y"}
    application: Application = Application(env=settings)
    counter = Counter()
    for _ in range(3):
        counter.count()
    recordings = application.save(counter)
    application.take_snapshot(counter.id)
    counter.count()
    application.save(counter)

    assert [r.notification.id for r in recordings] == [1, 2, 3, 4]
    assert application.repository.get(counter.id).counted == 4
    assert application.snapshots is not None
    assert [s.originator_version for s in application.snapshots.get(counter.id)] == [4]
    with pytest.raises(AggregateNotFoundError):
        application.repository.get(uuid4())
    with EventLog(events_dsn) as log:
        assert [(r.position, r.version) for r in log.read_stream(counter.id)] == [(n, n) for n in range(1, 6)]
    application.close()


def stored(version: int = 1) -> StoredEvent:
    return StoredEvent(uuid4(), version, "NoteAdded", b"{}")


def test_keyword_arguments_reach_the_append(factory: PostgresFactory) -> None:
    recorder = factory.application_recorder()
    read, scope, chosen = stored(), uuid4(), uuid4()
    recorder.insert_events([read])
    fence = Fence(scope, "scope", uuid4(), datetime(2026, 3, 1, tzinfo=UTC))
    answered = Idempotency("key", "add_note", b"mac", "day", 201, {"id": "n1"})

    assert recorder.insert_events(
        [stored()], event_ids=[chosen], reads={read.originator_id: 1}, fences=(fence,), idempotency=answered
    ) == [2]
    assert recorder.log.read_from(2, 1)[0].event_id == chosen
    with pytest.raises(Fenced):
        recorder.insert_events([stored()], uses=frozenset({scope}))
    with pytest.raises(AlreadyDone):
        recorder.insert_events([stored()], idempotency=answered)
    with pytest.raises(IntegrityError) as moved:
        recorder.insert_events([stored()], reads={read.originator_id: 2})
    assert isinstance(moved.value, ConcurrencyConflict)
    assert moved.value.stream_id == read.originator_id


def test_tracking_and_events_are_recorded_together_or_not_at_all(factory: PostgresFactory) -> None:
    recorder = factory.process_recorder()
    taken = stored()
    recorder.insert_events([taken], tracking=Tracking("upstream", 5))

    with pytest.raises(IntegrityError):
        recorder.insert_events([stored()], tracking=Tracking("upstream", 5))
    with pytest.raises(IntegrityError):
        recorder.insert_events([taken], tracking=Tracking("upstream", 6))
    assert (recorder.max_tracking_id("upstream"), recorder.max_notification_id()) == (5, 1)


def test_an_outage_is_the_librarys_operational_error_and_ours(environment: Environment) -> None:
    settings = Environment("Cases", {**environment, "CASEKEEPER_EVENTS_DSN": "host=127.0.0.1 port=1 user=nobody"})
    factory = PostgresFactory(settings)

    for recorder in (factory.application_recorder(), factory.aggregate_recorder("snapshots")):
        with pytest.raises(OperationalError) as outage:
            recorder.insert_events([stored()])
        assert isinstance(outage.value, StoreUnavailable)
    factory.close()
