"""What the database itself says happened, beside what clients were told: plain SQL, none of the service's code."""

from __future__ import annotations

from collections import Counter

from postgres_clients import Told
from postgres_stage import Stage

TYPES = {"register_subject": "SubjectRegistered", "open_case": "CaseOpened", "add_note": "NoteAdded"}


def differences(stage: Stage, *tolds: Told) -> list[str]:
    """Return every difference between the answers and the events: each answered command has one effect, no other has.

    ``tolds`` must hold every write ever made on this stage, all of them answered.
    """
    writes = [write for told in tolds for write in told.writes]
    rows = stage.servers["events"].run(
        "SELECT position, event_id::text, stream_id::text, version, type FROM events ORDER BY position"
    )
    found = []
    if [row[0] for row in rows] != list(range(1, len(rows) + 1)):
        found.append("positions have gaps")
    stored = {str(row[1]): row for row in rows}
    if len(stored) < len(rows):
        found.append("an event id is stored twice")
    for write in writes:
        receipt = write.receipt
        said = (receipt["position"], receipt["event_ids"][-1], receipt["stream"], receipt["version"])
        if stored.get(receipt["event_ids"][-1], ())[:4] != said:
            found.append(f"{write.operation}: acknowledged, and not stored like that: {said}")
    effects = Counter(str(row[4]) for row in rows)
    for operation, kind in TYPES.items():
        answered = sum(write.operation == operation for write in writes)
        if effects[kind] != answered:
            found.append(f"{operation}: answered {answered} times, {effects[kind]} effects")
    remembered = stage.servers["events"].run("SELECT count(*) FROM idempotency")[0][0]
    if remembered != len(writes):
        found.append(f"{remembered} outcomes remembered for {len(writes)} keys")
    return found
