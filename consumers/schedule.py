"""What is due by the clock: consents that have run out, and secrets whose time is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from threading import Event
from uuid import UUID, uuid4

import structlog

from application import inbox_keys, signing_keys
from application.caller import system_caller
from application.service import Service
from application.settings import Settings
from consumers.leadership import Leadership
from consumers.outcomes import KEY_KEPT, KEY_LIFE
from domain.errors import TerminalError, ViewsUnavailable
from projections.consents import due_to_expire
from projections.views import Views

_ROUND_SECONDS = 2.0
_SECRETS_SECONDS = 60.0
_PAGE = 100

log = structlog.get_logger()


class Schedule:
    """Runs in one thread, while it leads. ``report`` is told how it is: a state and an error's class."""

    def __init__(self, settings: Settings, service: Service, views: Views, report: Callable[[str, str], None]) -> None:
        self._settings = settings
        self._service = service
        self._views = views
        self._report = report
        self._refused: set[UUID] = set()
        self._secrets_due = 0.0

    def run(self, stop: Event) -> None:
        """Wait to lead, then do what is due until told to stop. Raises ``RetriableError``: then run again."""
        name = f"{self._settings.topic_prefix}schedule"
        with Leadership(self._settings.views_dsn, name, ViewsUnavailable) as leadership:
            while not stop.is_set():
                if leadership.acquire():
                    self._report("running", "")
                    self.once(self._service.clock())
                else:
                    self._report("waiting", "")
                stop.wait(_ROUND_SECONDS)

    def once(self, now: datetime) -> None:
        """Do what is due at a moment. Raises ``RetriableError``."""
        self._expire_consents(now)
        if time.monotonic() >= self._secrets_due:
            self.replace_secrets(now)
            self._secrets_due = time.monotonic() + _SECRETS_SECONDS

    def replace_secrets(self, now: datetime) -> None:
        """Make new keys for inbox and outcomes when theirs are old; destroy secrets that nothing can need any more."""
        vault = self._service.vault
        inbox_keys.note_ahead(vault, self._service.clock)
        inbox_keys.current_kid(vault, now)
        replaced = signing_keys.replace(vault, now, signing_keys.OUTCOMES, KEY_LIFE, KEY_KEPT)
        gone = [*replaced, *inbox_keys.destroy_expired(vault, now), *self._service.housekeeping(self._service.clock)]
        if gone:
            log.info("secrets destroyed", count=len(gone))

    def _expire_consents(self, now: datetime) -> None:
        # Those of erased people stay due for ever and are refused: they must not crowd out the others.
        with self._views.cursor() as cursor:
            due = due_to_expire(cursor, now, _PAGE + len(self._refused))
        self._refused &= {consent_id for _, consent_id in due}
        for subject_id, consent_id in due:
            if consent_id in self._refused:
                continue
            caller = system_caller("schedule", "schedule", "operations", uuid4())
            ids = {"subject_id": subject_id, "consent_id": consent_id}
            try:
                self._service.execute("expire_consent", caller, ids, {}, f"expire:{consent_id}")
            except TerminalError as error:
                # Fenced meanwhile, or recorded already and the view is behind.
                log.info("consent not expired", error=error)
                self._refused.add(consent_id)
