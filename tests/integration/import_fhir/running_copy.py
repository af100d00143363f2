"""A running copy for tests: its settings, a worker in a thread, and looks into its log."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from dataclasses import fields
from uuid import uuid4

from application.caller import Caller
from application.settings import variable
from application.wiring import build_service
from cli.import_run import ImportOptions, run_import
from consumers.worker import run_worker
from domain.record import Record


def caller(actor, role, purpose):
    return Caller("idp", actor, frozenset({role}), purpose, "api", uuid4())


class RunningCopy:
    def __init__(self, settings):
        self.settings = settings
        self.service = build_service(settings)
        self._stop = threading.Event()
        parts = {"relay", "inbox", "people", "worklist"}
        self._worker = threading.Thread(target=run_worker, args=(settings, parts, self._stop))

    def start(self):
        self._worker.start()
        deadline = time.monotonic() + 30
        while not self.service.log.admission().admitted:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def stop(self):
        self._stop.set()
        self._worker.join()
        self.service.log.close()
        self.service.vault.close()

    def import_files(self, *paths, **options):
        """Import and return the report and what became of everybody."""
        results = []
        report = run_import(
            self.settings,
            paths,
            ImportOptions(**options),
            on_read=lambda file, size: None,
            on_found=lambda number: None,
            on_taken=results.extend,
        )
        return report, results

    def records(self, after=0):
        return [Record.parse(r.position, r.record) for r in self.service.log.read_from(after + 1, 100_000)]

    def counts(self, after=0):
        return Counter(stored.type for stored in self.service.log.read_from(after + 1, 100_000))

    def opened(self, record, field):
        return self.service.vault.open(record.sealed_field(field))

    def environment(self):
        """Return the environment of a process of this copy."""
        own = {variable(f.name): str(getattr(self.settings, f.name)) for f in fields(self.settings)}
        return {**os.environ, **{name: value for name, value in own.items() if value}}
