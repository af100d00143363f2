"""The ``search_index`` view: the blind index by which a person is found, and the change of its key.

A *source* is a sealed value that people are found by: a person's identity, as of their latest engagement, or an
intake's insurance. Its *tags* (``vault.blind_index``) are made by opening it, under the key of the epoch in force, and
are all that a search compares. The sealed value is kept beside them: for the tags of the next epoch, and because a tag
alone confirms nothing.

An epoch is ``building`` (tags are made, nobody searches it), ``current`` or ``retired`` (its key is destroyed, then its
tags are deleted). Each step is one transaction of :meth:`SearchIndex.tick`, so the change goes on wherever it was
broken off. Every change here begins by taking the table of epochs, so that a process which was replaced cannot come in
between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, ClassVar

import structlog
from psycopg2.extensions import cursor as Cursor

from domain.errors import KeyNeverExisted, RecordUnfit, Tampered
from domain.record import Record
from domain.sealed import Erased, SealedField
from domain.search_terms import FIELDS, RECORD_NUMBER, terms_of_identity, terms_of_insurance
from projections import index_epochs
from projections.base import PURGE
from projections.index_epochs import Epochs
from projections.paging import Page, check_limit, page_of, start_of
from projections.purges import SealedColumn
from projections.read_model import Handlers, ReadModel
from projections.rows import rows
from projections.writes import Statement, Writes, insert
from vault.blind_index import EPOCH_DAYS, destroy_others, epoch_at, index_key, is_over, kept_epochs, tags
from vault.vault import Vault

BUILT_AT_ONCE = 1_000
"""So many sources are given tags of the next epoch in one step, so that a step holds up reading only briefly."""
_UNUSED_KEYS_SECONDS = 60.0

_TABLES = (
    """
CREATE TABLE view_search_index_sources (
    source_id uuid PRIMARY KEY,
    subject_id uuid NOT NULL,
    made_at timestamptz NOT NULL,
    value jsonb
);
CREATE INDEX ON view_search_index_sources (subject_id);
CREATE TABLE view_search_index_tags (
    epoch integer NOT NULL,
    field text NOT NULL,
    tag integer NOT NULL,
    source_id uuid NOT NULL,
    subject_id uuid NOT NULL
);
CREATE INDEX ON view_search_index_tags (epoch, field, tag, subject_id);
CREATE INDEX ON view_search_index_tags (source_id);
"""
    + index_epochs.TABLE
)
# The table of epochs stands last, because a view that is built anew loses its tables from the last to the first.

_TERMS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, str]]] = {
    "identity": terms_of_identity,
    "insurance": terms_of_insurance,
}
"""Sealed field → what its opened value is found by."""

_AMEND = Statement(
    "view_search_index_sources",
    """
INSERT INTO view_search_index_sources AS source
SELECT * FROM jsonb_populate_recordset(NULL::view_search_index_sources, %s)
ON CONFLICT (source_id) DO UPDATE SET value = excluded.value
""",
)

_DELETE_PURGED = """
DELETE FROM view_search_index_tags AS tag USING view_search_index_sources AS source
WHERE source.subject_id = ANY(%s::uuid[]) AND source.value ->> 'value' IS NULL AND tag.source_id = source.source_id
"""

_COPY_TAGS = "COPY view_search_index_tags (epoch, field, tag, source_id, subject_id) FROM STDIN"

log = structlog.get_logger()


def _identity(statement: Statement) -> Callable[[Record, Writes], None]:
    def handle(record: Record, writes: Writes) -> None:
        row = {
            "source_id": record.stream,
            "subject_id": record.stream,
            "made_at": record.occurred,
            "value": writes.sealed(record, "identity"),
        }
        writes.add(statement, record.stream, row)

    return handle


def _answered(record: Record, writes: Writes) -> None:
    row = {
        "source_id": record.data["intake_id"],
        "subject_id": record.envelope["subject_ids"][0],
        "made_at": record.occurred,
        "value": writes.sealed(record, "insurance"),
    }
    writes.add(_AMEND, record.data["intake_id"], row)


class SearchIndex(ReadModel):
    """People by what they are called, when they were born, how they are reached and what insurers number them."""

    name = "search_index"
    version = 2
    tables = _TABLES
    sealed = (SealedColumn("view_search_index_sources", "value"),)
    handlers: ClassVar[Handlers] = {
        "SubjectRegistered": _identity(insert("view_search_index_sources")),
        "EngagementStarted": _identity(_AMEND),
        "IntakeSubmitted": _answered,
        "IntakeAmended": _answered,
    }

    def __init__(
        self,
        vault: Vault,
        epoch_days: int = EPOCH_DAYS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the vault that opens sources and keeps index keys, and the length of an epoch, in days."""
        self._vault = vault
        self._days = epoch_days
        self._clock = clock
        self._unused_keys_due = 0.0

    def apply_batch(self, cursor: Cursor, records: Sequence[Record]) -> None:
        """Take records in; raises ``KeysUnavailable``, too, and then nothing of the batch is kept."""
        if any(record.type in self.handles for record in records):
            index_epochs.take(cursor)
        super().apply_batch(cursor, records)

    def applied(self, cursor: Cursor, records: Sequence[Record]) -> None:
        """Make the tags of the sources that these records brought, and delete those of what was purged."""
        purged = [record.stream for record in records if record.type == PURGE]
        if purged:
            cursor.execute(_DELETE_PURGED, (purged,))
        brought = [record for record in records if record.type != PURGE]
        ids = {r.data.get("intake_id", r.stream) for r in brought}
        found = _sources(cursor, "source_id = ANY(%s::uuid[])", (list(ids),))
        if not found:
            # Purging needs no key, so it waits for none.
            return
        try:
            opened = self._opened([value for _, _, value in found])
        except (Tampered, KeyNeverExisted) as error:
            raise RecordUnfit(self.name, records[0].position, records[-1].position, type(error).__name__) from None
        self._write_tags(cursor, self._in_force(cursor), found, opened)

    def tick(self, cursor: Cursor) -> None:
        """Do the next step of a change of epochs. Raises ``KeysUnavailable``: then it is done later."""
        if not self._due(index_epochs.epochs(cursor)):
            return
        index_epochs.take(cursor)
        # Listed before the epochs are read: a process that was stopped and replaced fails at reading, or knows no key
        # of an epoch that began meanwhile.
        kept = kept_epochs(self._vault)
        epochs = index_epochs.epochs(cursor)
        # What is read here is committed: a key is destroyed only when nobody can find by it any more.
        in_force = [epoch for epoch, (state, _) in epochs.items() if state != "retired"]
        if gone := destroy_others(self._vault, kept, in_force):
            log.info("index keys destroyed", view=self.name, count=len(gone))
        self._unused_keys_due = time.monotonic() + _UNUSED_KEYS_SECONDS
        for epoch, (state, built_to) in epochs.items():
            if state == "building":
                self._build(cursor, epoch, built_to)
            elif state == "retired":
                index_epochs.delete_tags(cursor, epoch)
        self._begin(cursor, epochs)

    def _due(self, epochs: Epochs) -> bool:
        if not epochs or any(state != "current" for state, _ in epochs.values()):
            return bool(epochs)
        over = any(is_over(epoch, self._clock(), self._days) for epoch in epochs)
        return over or time.monotonic() >= self._unused_keys_due

    def _begin(self, cursor: Cursor, epochs: Epochs) -> None:
        """Begin the next epoch if the current one is over and nothing of an earlier change is left."""
        now = self._clock()
        if len(epochs) == 1 and all(is_over(epoch, now, self._days) for epoch in epochs):
            index_epochs.add(cursor, epoch_at(now, self._days), "building")

    def _build(self, cursor: Cursor, epoch: int, built_to: str | None) -> None:
        """Make the tags of the next sources under a new key; after the last of them, put it in force."""
        where = "source_id > coalesce(%s::uuid, '00000000-0000-0000-0000-000000000000') ORDER BY source_id LIMIT %s"
        found = _sources(cursor, where, (built_to, BUILT_AT_ONCE))
        if found:
            self._write_tags(cursor, [epoch], found, self._opened_if_possible([value for _, _, value in found]))
            index_epochs.note_built(cursor, epoch, found[-1][0])
        if len(found) < BUILT_AT_ONCE:
            index_epochs.put_in_force(cursor, epoch)

    def _in_force(self, cursor: Cursor) -> list[int]:
        epochs = index_epochs.epochs(cursor)
        if not epochs:
            first = epoch_at(self._clock(), self._days)
            index_epochs.add(cursor, first, "current")
            return [first]
        return [epoch for epoch, (state, _) in epochs.items() if state != "retired"]

    def _write_tags(
        self,
        cursor: Cursor,
        epochs: Sequence[int],
        sources: Sequence[tuple[str, str, Any]],
        opened: Sequence[Mapping[str, Any] | None],
    ) -> None:
        """Put the tags of these sources in place of those they had; a source without a value has none."""
        cursor.execute(
            "DELETE FROM view_search_index_tags WHERE source_id = ANY(%s::uuid[]) AND epoch = ANY(%s)",
            ([source_id for source_id, _, _ in sources], list(epochs)),
        )
        terms = [
            (source_id, subject_id, _TERMS[value["field"]](said))
            for (source_id, subject_id, value), said in zip(sources, opened, strict=True)
            if said is not None
        ]
        keys = {epoch: index_key(self._vault, epoch) for epoch in epochs}
        # Nothing in these lines needs escaping: numbers, ids as PostgreSQL gave them, and names of ours.
        lines = "".join(
            f"{epoch}\t{field}\t{tag}\t{source_id}\t{subject_id}\n"
            for epoch, key in keys.items()
            for source_id, subject_id, said in terms
            for field, tag in tags(key, said).items()
        )
        cursor.copy_expert(_COPY_TAGS, BytesIO(lines.encode()))

    def _opened(self, values: Sequence[Any]) -> list[Mapping[str, Any] | None]:
        """Return what these values say; ``None`` where there is none, or its key was destroyed."""
        sealed = [SealedField.from_json(value) for value in values if _is_sealed(value)]
        said = iter(self._vault.open_many(sealed))
        answers = [next(said) if _is_sealed(value) else None for value in values]
        return [None if isinstance(answer, Erased) else answer for answer in answers]

    def _opened_if_possible(self, values: Sequence[Any]) -> list[Mapping[str, Any] | None]:
        """Return the same, going without what does not open: it was not found by before either."""
        try:
            return self._opened(values)
        except (Tampered, KeyNeverExisted):
            return [self._opened_or_none(value) for value in values]

    def _opened_or_none(self, value: Any) -> Mapping[str, Any] | None:
        try:
            return self._opened([value])[0]
        except (Tampered, KeyNeverExisted) as error:
            log.error("not indexed", view=self.name, error=error)
            return None


def current_epoch(cursor: Cursor) -> int | None:
    """Return the epoch to search in; ``None`` while nothing was ever taken in."""
    return next((epoch for epoch, (state, _) in index_epochs.epochs(cursor).items() if state == "current"), None)


def candidates(cursor: Cursor, epoch: int, asked: Mapping[str, int], limit: int = 50, start: str | None = None) -> Page:
    """Return the people who have all the tags asked for (field → tag), the newest first.

    Each is ``{"id", "made_at", "identity", "insurances"}``, sealed; a tag may be a stranger's, so what is opened is to
    be compared. To be asked in one transaction with :func:`current_epoch`, the tags being made before it. Raises
    ``InvalidInput`` for a bad limit or cursor, ``ValueError`` for a field that there is not.
    """
    if not asked or not asked.keys() <= set(FIELDS):
        raise ValueError("asked for no field of the index")
    after = start_of(start)
    found = " INTERSECT ".join(
        "SELECT subject_id FROM view_search_index_tags WHERE epoch = %s AND field = %s AND tag = %s" for _ in asked
    )
    before = "AND (made_at, source_id) < (%s, %s)" if after else ""
    cursor.execute(
        f"SELECT source_id AS id, made_at, value AS identity FROM view_search_index_sources "  # noqa: S608
        f"WHERE source_id = subject_id AND source_id IN ({found}) {before} "
        "ORDER BY made_at DESC, source_id DESC LIMIT %s",
        (
            *(value for field, tag in asked.items() for value in (epoch, field, tag)),
            *((after[0], str(after[1])) if after else ()),
            check_limit(limit) + 1,
        ),
    )
    page = page_of(rows(cursor), limit, "made_at")
    insurances = _insurances(cursor, epoch, asked, page.items)
    return Page([{**item, "insurances": insurances.get(item["id"], [])} for item in page.items], page.next)


def _insurances(
    cursor: Cursor, epoch: int, asked: Mapping[str, int], people: Sequence[Mapping[str, Any]]
) -> dict[str, list[Any]]:
    """Return person → the insurances that have the tag asked for."""
    if RECORD_NUMBER not in asked:
        return {}
    cursor.execute(
        "SELECT tag.subject_id::text, jsonb_agg(source.value) "
        "FROM view_search_index_tags AS tag JOIN view_search_index_sources AS source USING (source_id) "
        "WHERE epoch = %s AND field = %s AND tag = %s AND tag.subject_id = ANY(%s::uuid[]) GROUP BY 1",
        (epoch, RECORD_NUMBER, asked[RECORD_NUMBER], [item["id"] for item in people]),
    )
    return dict(cursor.fetchall())


def _sources(cursor: Cursor, where: str, values: tuple[Any, ...]) -> list[tuple[str, str, Any]]:
    cursor.execute(
        f"SELECT source_id::text, subject_id::text, value FROM view_search_index_sources WHERE {where}",  # noqa: S608
        values,
    )
    return cursor.fetchall()


def _is_sealed(value: Any) -> bool:
    return value is not None and "value" in value
