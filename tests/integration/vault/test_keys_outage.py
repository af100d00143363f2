"""Keys cluster or keyring out of reach: an error that says so, never an erasure, and all is well when they are back."""

import pickle
import shutil
import traceback
from uuid import uuid4

import psycopg2
import pytest
from psycopg2 import sql
from psycopg2.extensions import make_dsn, parse_dsn
from vault_keys import Keys
from vault_people import all_open, seal_fact, seal_people

from domain.errors import KeysUnavailable
from domain.sealed import KeyScope
from store.migrate import migrate
from vault.connections import Connections
from vault.vault import MIGRATIONS


@pytest.fixture
def own_database(pg_keys, new_database, tmp_path):
    """Give an installation in a database of its own, whose doors can be shut."""
    installation = Keys(new_database(pg_keys, "vault_down"), tmp_path / "keyring")
    migrate(installation.dsn, MIGRATIONS)
    return installation


def shut(pg_keys, keys, *, doors_open=False):
    """Refuse all connections to a database and end those there are; or let them in again."""
    name = parse_dsn(keys.dsn)["dbname"]
    connection = psycopg2.connect(pg_keys)
    connection.autocommit = True
    with connection.cursor() as cursor:
        allow = sql.SQL("true" if doors_open else "false")
        cursor.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(name), allow))
        ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND backend_type = %s"
        cursor.execute(ours, (name, "client backend"))
    connection.close()


def everything(vault, fact):
    """Return a call of each kind that needs keys that are not cached."""
    return [
        lambda: vault.open(fact.field),
        lambda: vault.seal(fact.scope_id, "medical", fact.field.binding, {}),
        lambda: vault.scope(KeyScope(uuid4(), "medical", None, 1)),
        vault.health,
    ]


def test_a_keys_cluster_that_is_down(pg_keys, own_database):
    vault = own_database.open(cache_seconds=0)
    fact = seal_fact(vault, uuid4())
    shut(pg_keys, own_database)
    try:
        for call in everything(vault, fact):
            with pytest.raises(KeysUnavailable):
                call()
        with pytest.raises(KeysUnavailable):
            own_database.open()
    finally:
        shut(pg_keys, own_database, doors_open=True)

    assert vault.open(fact.field) == fact.value
    vault.health()


def test_connections_ended_by_the_server_are_replaced_unnoticed(pg_keys, own_database):
    vault = own_database.open(cache_seconds=0)
    facts = seal_people(vault, 2)
    shut(pg_keys, own_database)
    shut(pg_keys, own_database, doors_open=True)

    assert all_open(vault, facts)
    shut(pg_keys, own_database, doors_open=True)
    again = seal_fact(vault, uuid4())
    assert vault.open(again.field) == again.value


def test_nothing_listening(keys):
    dsn = make_dsn(keys.dsn, port=1, connect_timeout=2)

    with pytest.raises(KeysUnavailable) as down:
        Keys(dsn, keys.folder).open()
    assert "password" not in str(down.value)


def test_a_cluster_that_was_not_migrated(pg_keys, new_database, tmp_path):
    with pytest.raises(KeysUnavailable, match="42P01"):
        Keys(new_database(pg_keys, "vault_empty"), tmp_path / "keyring").open()


def test_commits_are_durable_and_waits_bounded_whatever_the_connection_string_says(keys):
    """A root key must not be destroyed on the strength of a commit that a crash takes back."""
    options = (
        parse_dsn(keys.dsn)["options"] + " -c synchronous_commit=off -c statement_timeout=0 -c timezone=Asia/Tokyo"
    )
    connection = Connections(make_dsn(keys.dsn, options=options)).fresh()

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('synchronous_commit'), current_setting('statement_timeout'), "
            "current_setting('lock_timeout'), current_setting('timezone')"
        )
        settings = cursor.fetchone()

    connection.close()
    assert settings == ("on", "10s", "5s", "UTC")


@pytest.mark.parametrize("left", ["nothing", "an empty folder"])
def test_a_keyring_whose_volume_is_gone(keys, vault, left, tmp_path):
    vault = keys.open(cache_seconds=0)
    fact = seal_fact(vault, uuid4())
    away = keys.folder.rename(tmp_path / "unmounted")
    if left != "nothing":
        keys.folder.mkdir()

    for call in [*everything(vault, fact), lambda: vault.secret("relay-mac"), keys.open]:
        with pytest.raises(KeysUnavailable):
            call()
    if left != "nothing":
        # SoftHSM2 starts a count of changes wherever it sees a token's folder; a key it does not make.
        assert {path.name for path in keys.folder.iterdir()} <= {"generation"}
        shutil.rmtree(keys.folder)
    away.rename(keys.folder)

    assert vault.open(fact.field) == fact.value


def test_errors_carry_no_value_and_no_text_of_the_server(keys, vault):
    """A row that breaks a constraint: the server's message would quote it."""
    fact = seal_fact(vault, uuid4())
    keys.sql("ALTER TABLE key_scope ADD CHECK (category <> 'canary-category')")

    with pytest.raises(KeysUnavailable) as refused:
        vault.scope(KeyScope(uuid4(), "canary-category", None, 1))

    shown = "".join(traceback.format_exception(refused.value)) + repr(refused.value)
    assert "23514" in str(refused.value)
    assert "Failing row" not in shown
    assert "canary" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
    assert vault.open(fact.field) == fact.value


def test_a_vault_shows_no_key_and_cannot_be_pickled(vault):
    fact = seal_fact(vault, uuid4())
    vault.open(fact.field)
    found = vault._tree.load([fact.scope_id])[fact.scope_id]

    assert "SecretKey(…)" in repr(found)
    with pytest.raises(TypeError):
        pickle.dumps(found)
