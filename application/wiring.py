"""Puts the service together from its settings. Kafka and views are not needed for it."""

from __future__ import annotations

from datetime import UTC, datetime

from application.erasure import ErasureSaga
from application.key_reconciliation import reconcile_keys
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
    """Open store and vault, destroy again what a restore brought back, and return the service.

    Raises ``StoreUnavailable``, ``KeysUnavailable``, ``KeyringMismatch``, ``Tampered``.
    """
    resources = build_resources(settings)
    resources.vault.hold_keys()
    reconcile_keys(resources.log, resources.vault)
    return Service(resources, Reading(resources, now), now)


def build_resources(settings: Settings) -> Resources:
    """Open store and vault as they are. Raises ``KeysUnavailable``, ``KeyringMismatch``."""
    return Resources(
        log=ObservedLog(settings.events_dsn, heads=settings.home_path / "heads"),
        vault=open_vault(settings),
        policies=Policies.load(),
        mapper=RecordMapper(),
        index_days=settings.index_days,
    )


def open_vault(settings: Settings) -> Vault:
    """Open the vault with its key change log, without which no destruction may be finished.

    Raises ``KeysUnavailable``, ``KeyringMismatch``.
    """
    return Vault.open_at(settings.keys_dsn, settings.keyring_location, changes=settings.keys_log_path)


def build_saga(service: Service) -> ErasureSaga:
    """Return the erasure saga that works with the service's store and vault."""
    return ErasureSaga(service.resources, service.clock)
