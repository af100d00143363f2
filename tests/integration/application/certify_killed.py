"""Certifies an erasure and dies by SIGKILL just before or just after the append (run as a program of its own)."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any
from uuid import UUID, uuid4

from application.erasure import ErasureSaga
from application.policies import Policies
from application.record_mapper import RecordMapper
from application.unit_of_work import Resources
from application.wiring import now
from domain.rights import DueErasure
from store.log import EventLog
from vault.keyring_location import parse
from vault.vault import Vault


class DyingLog(EventLog):
    """Ends its process at the append, which was done before where ``after`` is set."""

    after = False

    def append(self, command: Any) -> Any:
        if self.after:
            super().append(command)
        os.kill(os.getpid(), signal.SIGKILL)


def main(when: str, events_dsn: str, keys_dsn: str, keyring: str, subject_id: str, request_id: str) -> None:
    log = DyingLog(events_dsn)
    log.after = when == "after"
    resources = Resources(log, Vault.open_at(keys_dsn, parse(keyring, "keyring")), Policies.load(), RecordMapper())
    erasure = DueErasure(UUID(subject_id), UUID(request_id), uuid4())
    ErasureSaga(resources, now).certify(erasure, {"people": log.head()})


if __name__ == "__main__":
    main(*sys.argv[1:])
