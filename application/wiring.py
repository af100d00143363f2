"""Puts the service together from its settings. Kafka and views are not needed for it."""

from __future__ import annotations

from datetime import UTC, datetime

from application.erasure import ErasureSaga
from application.observed_log import ObservedLog
from application.policies import Policies
from application.reading import Reading
from application.record_mapper import RecordMapper
from application.service import Service
from application.settings import Settings
from application.unit_of_work import Resources
from vault.vault import Vault


def now() -> datetime:
    """Return the time in UTC: the only clock of the service."""
    return datetime.now(UTC)


def build_service(settings: Settings) -> Service:
    """Open store and vault and return the service. Raises ``StoreUnavailable``, ``KeysUnavailable``."""
    vault = Vault.open_at(settings.keys_dsn, settings.keyring_path, changes=settings.keys_log_path)
    vault.hold_keys()
    resources = Resources(
        log=ObservedLog(settings.events_dsn, heads=settings.home_path / "heads"),
        vault=vault,
        policies=Policies.load(),
        mapper=RecordMapper(),
        index_days=settings.index_days,
    )
    return Service(resources, Reading(resources, now), now)


def build_saga(service: Service) -> ErasureSaga:
    """Return the erasure saga that works with the service's store and vault."""
    return ErasureSaga(service.resources, service.clock)
