"""An API process enters itself as one that keeps keys, and leaves when it is stopped in order."""

import psycopg2
from api_world import api_process

from tests.waiting import until


def test_an_api_process_enters_itself_and_leaves(world):
    def holders() -> set[tuple[str, bool]]:
        connection = psycopg2.connect(world.settings.keys_dsn)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("SELECT holder_id::text, left_at IS NOT NULL FROM key_holder")
                return set(cursor.fetchall())
        finally:
            connection.close()

    before = {holder_id for holder_id, _ in holders()}
    with api_process(world):
        until(lambda: {gone for holder_id, gone in holders() if holder_id not in before} == {False}, 20)
        [entered] = {holder_id for holder_id, _ in holders()} - before

    assert (entered, True) in holders()
