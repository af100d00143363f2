"""The ``recipients`` view: the parties that data may be disclosed to, and the agreements that bind them."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from psycopg2.extensions import cursor as Cursor

from domain.record import Record
from projections.paging import Page, check_limit, page_of, start_of
from projections.purges import SealedColumn
from projections.read_model import Handlers, ReadModel
from projections.rows import first, rows
from projections.writes import Writes, insert

_TABLES = """
CREATE TABLE view_recipients (
    recipient_id uuid PRIMARY KEY,
    kind text NOT NULL,
    registered_at timestamptz NOT NULL,
    identity jsonb
);
CREATE INDEX ON view_recipients (registered_at DESC, recipient_id DESC);
CREATE TABLE view_recipients_agreements (
    agreement_id uuid PRIMARY KEY,
    recipient_id uuid NOT NULL,
    purposes text[] NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_until timestamptz
);
CREATE INDEX ON view_recipients_agreements (recipient_id);
"""


def _registered(record: Record, writes: Writes) -> None:
    row = {
        "recipient_id": record.stream,
        "kind": record.data["kind"],
        "registered_at": record.occurred,
        "identity": writes.sealed(record, "identity"),
    }
    writes.add(insert("view_recipients"), record.stream, row)


def _agreed(record: Record, writes: Writes) -> None:
    row = {"recipient_id": record.stream, **record.data}
    writes.add(insert("view_recipients_agreements"), row["agreement_id"], row)


class Recipients(ReadModel):
    """Recipients by id."""

    name = "recipients"
    version = 1
    tables = _TABLES
    sealed = (SealedColumn("view_recipients", "identity"),)
    handlers: ClassVar[Handlers] = {"RecipientRegistered": _registered, "AgreementRegistered": _agreed}


_COLUMNS = "recipient_id AS id, kind, registered_at, identity"

_PAGE = f"""
SELECT {_COLUMNS} FROM view_recipients
WHERE %(after)s IS NULL OR (registered_at, recipient_id) < (%(after)s, %(after_id)s::uuid)
ORDER BY registered_at DESC, recipient_id DESC LIMIT %(limit)s
"""  # noqa: S608

_AGREEMENTS = """
SELECT recipient_id, agreement_id AS id, purposes, valid_from, valid_until
FROM view_recipients_agreements WHERE recipient_id = ANY(%s::uuid[]) ORDER BY valid_from, agreement_id
"""


def recipient(cursor: Cursor, recipient_id: UUID) -> dict[str, Any] | None:
    """Return ``{"id", "kind", "registered_at", "identity", "agreements"}`` of a recipient, or ``None``.

    ``identity`` is sealed (``SealedField.to_json()``) or a tombstone; agreements are
    ``{"id", "purposes", "valid_from", "valid_until"}``, the earliest first.
    """
    cursor.execute(f"SELECT {_COLUMNS} FROM view_recipients WHERE recipient_id = %s", (str(recipient_id),))  # noqa: S608
    found = first(cursor)
    return _with_agreements(cursor, [found])[0] if found else None


def recipients(cursor: Cursor, *, limit: int = 50, start: str | None = None) -> Page:
    """Return a page of recipients as :func:`recipient` gives them, newest first; ``start`` is the ``next`` before.

    Raises ``InvalidInput`` for a ``limit`` outside 1 to 100 or a ``start`` that is not ours.
    """
    after, after_id = start_of(start) or (None, None)
    values = {"after": after, "after_id": after_id and str(after_id), "limit": check_limit(limit) + 1}
    cursor.execute(_PAGE, values)
    page = page_of(rows(cursor), limit, "registered_at")
    return Page(_with_agreements(cursor, page.items), page.next)


def _with_agreements(cursor: Cursor, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    cursor.execute(_AGREEMENTS, ([item["id"] for item in found],))
    agreements: dict[str, list[dict[str, Any]]] = {item["id"]: [] for item in found}
    for row in rows(cursor):
        agreements[row.pop("recipient_id")].append(row)
    return [{**item, "agreements": agreements[item["id"]]} for item in found]
