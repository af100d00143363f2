"""A keys cluster that becomes read-only and writable again: what was known is read, new keys come when it is over."""

from uuid import uuid4

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn
from vault_keys import Keys

from domain.errors import KeysUnavailable
from domain.sealed import KeyScope
from store.migrate import migrate
from vault.vault import MIGRATIONS


def run(dsn, *statements):
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connection.close()


def test_a_session_made_while_the_keys_were_read_only_is_not_kept(pg_keys, new_database, tmp_path):
    keys = Keys(new_database(pg_keys, "vault_read_only"), tmp_path / "keyring")
    migrate(keys.dsn, MIGRATIONS)
    log = tmp_path / "keys-log"
    vault = keys.open(cache_seconds=0, changes=log)
    known = KeyScope(uuid4(), "medical", None, 1)
    scope_id = vault.scope(known)
    name = parse_dsn(keys.dsn)["dbname"]
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    run(
        keys.dsn,
        f"ALTER DATABASE {name} SET default_transaction_read_only = on",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}",
    )
    assert vault.scopes_of(known.subject_id)[0].scope_id == scope_id
    keys.open(changes=log).close()
    with pytest.raises(KeysUnavailable, match="25006"):
        vault.scope(KeyScope(uuid4(), "medical", None, 1))
    run(
        keys.dsn,
        "SET default_transaction_read_only = off",
        f"ALTER DATABASE {name} RESET default_transaction_read_only",
    )

    assert vault.scope(KeyScope(uuid4(), "medical", None, 1)) != scope_id
    vault.close()
