from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from view_records import ANA, BEN, parse, registered, uid

from domain.errors import PositionMoved
from projections.people import People, person
from projections.positions import advance, positions, prepare


class NextPeople(People):
    version = People.version + 1
    sealed = ()
    tables = "CREATE TABLE view_people_names (subject_id uuid PRIMARY KEY, given_name text);\n"


def position_of(connection, name: str = "people") -> int:
    with connection, connection.cursor() as cursor:
        return positions(cursor)[name]


def tables(connection) -> set[str]:
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE 'view\\_people%'")
        return {name for (name,) in cursor}


def take(connection, record, from_: int, to: int) -> None:
    with connection, connection.cursor() as cursor:
        People().apply(cursor, record)
        advance(cursor, "people", from_, to, version=People.version)


def people_in(connection) -> int:
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM view_people")
        return cursor.fetchone()[0]


def test_a_new_view_starts_at_0_and_a_known_one_where_it_was(connect):
    connection = connect()

    assert prepare(connection, People(), rebuild=True) == 0
    take(connection, parse(1, registered(ANA, uid(10))), 0, 1)
    assert prepare(connect(), People()) == 1
    assert people_in(connection) == 1


def test_rows_and_position_move_together_or_not_at_all(connect):
    connection = connect()
    prepare(connection, People(), rebuild=True)
    with connection.cursor() as cursor:
        People().apply(cursor, parse(1, registered(ANA, uid(10))))
        advance(cursor, "people", 0, 1)
    connection.rollback()

    assert (people_in(connection), position_of(connection)) == (0, 0)


@pytest.mark.parametrize("from_", [1, 2, 4, 7])
def test_a_move_from_anywhere_but_the_position_is_refused(connect, from_):
    connection = connect()
    prepare(connection, People(), rebuild=True)
    take(connection, parse(3, registered(BEN, uid(11))), 0, 3)
    with pytest.raises(PositionMoved) as refused:
        take(connection, parse(from_ + 1, registered(ANA, uid(10))), from_, from_ + 1)

    assert (refused.value.view, refused.value.expected) == ("people", from_)
    assert (people_in(connection), position_of(connection)) == (1, 3)


@pytest.mark.parametrize(("from_", "to"), [(3, 3), (3, 2)])
def test_a_position_never_goes_back(connect, from_, to):
    connection = connect()
    prepare(connection, People(), rebuild=True)
    take(connection, parse(3, registered(BEN, uid(11))), 0, 3)
    with pytest.raises(ValueError, match="does not come after"), connection.cursor() as cursor:
        advance(cursor, "people", from_, to)

    connection.rollback()
    assert position_of(connection) == 3


def test_of_two_who_run_the_same_view_at_once_one_is_refused(connect):
    ours, theirs = connect(), connect()
    prepare(ours, People(), rebuild=True)
    with ThreadPoolExecutor(1) as pool:
        with ours.cursor() as cursor:
            People().apply(cursor, parse(1, registered(BEN, uid(11))))
            advance(cursor, "people", 0, 1)
        zombie = pool.submit(take, theirs, parse(1, registered(ANA, uid(10))), 0, 1)
        wait_until_blocked(connect(), theirs.get_backend_pid())
        ours.commit()
        with pytest.raises(PositionMoved):
            zombie.result(timeout=10)

    with ours, ours.cursor() as cursor:
        assert person(cursor, UUID(ANA)) is None
        assert person(cursor, UUID(BEN)) is not None
    assert position_of(ours) == 1


def wait_until_blocked(connection, pid: int) -> None:
    with connection.cursor() as cursor:
        for _ in range(10_000):
            cursor.execute("SELECT cardinality(pg_blocking_pids(%s))", (pid,))
            if cursor.fetchone()[0]:
                return
    raise AssertionError("never blocked")


def test_another_version_is_built_anew(connect):
    connection = connect()
    prepare(connection, People(), rebuild=True)
    take(connection, parse(1, registered(ANA, uid(10))), 0, 1)

    assert prepare(connection, NextPeople()) == 0
    assert tables(connection) == {"view_people_names"}
    assert position_of(connection) == 0
    assert prepare(connection, NextPeople()) == 0
    assert prepare(connection, People()) == 0
    assert tables(connection) == {"view_people"}


def test_who_still_runs_the_former_version_is_refused_wherever_the_new_one_is(connect):
    connection = connect()
    prepare(connection, People(), rebuild=True)
    prepare(connection, NextPeople())
    with pytest.raises(PositionMoved), connection, connection.cursor() as cursor:
        advance(cursor, "people", 0, 1, version=People.version)

    assert position_of(connection) == 0


def test_a_rebuild_of_one_view_leaves_tables_of_others_alone(connect):
    connection = connect()
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS view_people_of_somebody_else (id integer)")
    prepare(connection, People(), rebuild=True)
    prepare(connection, People(), rebuild=True)

    assert tables(connection) == {"view_people", "view_people_of_somebody_else"}
    with connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE view_people_of_somebody_else")


def test_several_may_prepare_at_once(connect):
    connections = [connect() for _ in range(4)]
    prepare(connections[0], People(), rebuild=True)
    with ThreadPoolExecutor(4) as pool:
        reached = list(pool.map(lambda connection: prepare(connection, NextPeople()), connections))

    assert reached == [0, 0, 0, 0]
    assert tables(connections[0]) == {"view_people_names"}
    prepare(connections[0], People())
