import json
import traceback

import pytest
from view_records import ANA, BEN, parse, registered, uid

from domain import vocabulary
from domain.errors import RecordUnfit, ViewsUnavailable
from domain.events import EVENT_TYPES
from projections.base import PURGE
from projections.catalogue import VIEWS
from projections.people import People
from projections.writes import Statement, Writes

CANARY = "canary-91bc"


def test_the_views_are_those_the_vocabulary_names():
    assert {view.name for view in VIEWS} == vocabulary.VIEWS
    assert len(VIEWS) == len(vocabulary.VIEWS)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_every_view_handles_known_events_and_the_purge(view):
    assert set(EVENT_TYPES) >= view.handles > set()
    assert PURGE in view.handles


def test_every_column_that_may_hold_a_sealed_value_is_purged(connect):
    connection = connect()
    declared = {(column.table, column.column) for view in VIEWS for column in view.sealed}
    with connection, connection.cursor() as cursor:
        for view in VIEWS:
            cursor.execute(view.tables)
        cursor.execute(
            "SELECT table_name::text, column_name::text FROM information_schema.columns "
            "WHERE table_schema = 'public' AND table_name LIKE 'view\\_%' AND data_type IN ('json', 'jsonb', 'bytea')"
        )
        found = set(cursor.fetchall())
        connection.rollback()

    assert found - {("view_purges", "tombstone")} == declared


def test_a_malformed_record_is_named_by_position_and_not_quoted(feed):
    people = feed(People())
    broken = registered(ANA, uid(10))
    broken["data"] = {"engagement": CANARY}
    with pytest.raises(RecordUnfit) as refused:
        people.take(registered(BEN, uid(11)), broken)

    assert (refused.value.view, refused.value.first, refused.value.last) == ("people", 1, 2)
    assert refused.value.reason == "KeyError"
    assert people.rows("view_people", "subject_id") == []


def test_a_value_that_postgresql_refuses_is_not_quoted(feed):
    people = feed(People())
    broken = parse(1, registered(ANA, uid(10)))
    object.__setattr__(broken, "occurred", CANARY)
    with people.connection.cursor() as cursor, pytest.raises(RecordUnfit) as refused:
        people.projection.apply(cursor, broken)

    people.connection.rollback()
    assert (refused.value.first, refused.value.last, refused.value.reason) == (1, 1, "22007")
    assert CANARY not in "".join(traceback.format_exception(refused.value))


def test_a_lost_connection_is_unavailability_and_no_fault_of_the_record(feed, connect):
    people = feed(People())
    with connect() as observer, observer.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", (people.connection.get_backend_pid(),))
    with people.connection.cursor() as cursor, pytest.raises(ViewsUnavailable):
        people.projection.apply(cursor, parse(1, registered(ANA, uid(10))))


class Sent:
    """Stands where a cursor does, to see in which order statements are sent."""

    def __init__(self) -> None:
        self.statements: list[tuple[str, list]] = []

    def execute(self, statement, values):
        self.statements.append((statement, json.loads(values[0])))


ADD = Statement("cases", "add", None)
RENAME = Statement("cases", "rename", frozenset({"name", "at"}), plain=True)
TOUCH = Statement("cases", "touch", frozenset({"at"}), plain=True)
RECOUNT = Statement("cases", "recount", frozenset({"at"}))
ADD_TASK = Statement("tasks", "add task", None)


def sent(*changes: tuple) -> list:
    cursor = Sent()
    writes = Writes(cursor, {})
    for statement, key, row in changes:
        writes.add(statement, key, dict(row))
    writes.flush()
    writes.flush()
    return cursor.statements


def test_changes_of_one_key_keep_their_order_and_those_of_others_go_together():
    assert sent(
        (ADD_TASK, "a", {"n": 1}),
        (RECOUNT, "a", {"n": 2}),
        (ADD_TASK, "b", {"n": 3}),
        (RECOUNT, "b", {"n": 4}),
        (ADD_TASK, "a", {"n": 5}),
    ) == [
        ("add task", [{"n": 1}, {"n": 3}]),
        ("recount", [{"n": 2}, {"n": 4}]),
        ("add task", [{"n": 5}]),
    ]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (ADD, TOUCH, [("add", [{"name": "x", "at": 2}])]),
        (RENAME, TOUCH, [("rename", [{"name": "x", "at": 2}])]),
        (TOUCH, TOUCH, [("touch", [{"name": "x", "at": 2}])]),
        (RECOUNT, TOUCH, [("recount", [{"name": "x", "at": 2}])]),
        (TOUCH, RENAME, [("touch", [{"name": "x", "at": 1}]), ("rename", [{"at": 2}])]),
        (ADD, RECOUNT, [("add", [{"name": "x", "at": 1}]), ("recount", [{"at": 2}])]),
        (ADD_TASK, TOUCH, [("add task", [{"name": "x", "at": 1}]), ("touch", [{"at": 2}])]),
        (TOUCH, ADD, [("touch", [{"name": "x", "at": 1}]), ("add", [{"at": 2}])]),
    ],
    ids=lambda value: getattr(value, "sql", None),
)
def test_a_change_becomes_part_of_the_one_before_only_where_it_comes_to_the_same(first, second, expected):
    assert sent((first, "a", {"name": "x", "at": 1}), (second, "a", {"at": 2})) == expected


def test_a_change_is_not_moved_before_another_of_its_key():
    assert sent((TOUCH, "a", {"at": 1}), (ADD_TASK, "a", {"n": 2}), (TOUCH, "a", {"at": 3})) == [
        ("touch", [{"at": 1}]),
        ("add task", [{"n": 2}]),
        ("touch", [{"at": 3}]),
    ]
