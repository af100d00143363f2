"""A view is dropped and built anew from the topic: while a worker leads it, and where no worker does."""

from __future__ import annotations

import json
import subprocess
import sys

import psycopg2
import pytest
from fhir_bundles import bundle, patient


@pytest.fixture(scope="module")
def people(copy, tmp_path_factory):
    path = tmp_path_factory.mktemp("fhir") / "people.json"
    path.write_text(json.dumps(bundle(*(patient(f"p{n}", f"Name {n}", mrn=f"B-{n}") for n in range(20)))))
    copy.import_files(path)


def rebuild(copy, *arguments):
    command = [sys.executable, "-m", "cli.main", "rebuild", *arguments]
    return subprocess.run(command, env=copy.environment(), capture_output=True, timeout=60, check=False, text=True)


def rows(copy, table):
    connection = psycopg2.connect(copy.settings.views_dsn)
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {table}")
            return cursor.fetchone()[0]
    finally:
        connection.close()


def test_a_view_that_an_idle_worker_leads(copy, people):
    done = rebuild(copy, "worklist", "people")

    assert done.returncode == 0, done.stderr
    assert rows(copy, "view_worklist_cases") == 20


def test_a_view_that_no_worker_leads(copy, people):
    done = rebuild(copy, "recipients", "consents")

    assert done.returncode == 0, done.stderr
    assert rebuild(copy, "consents").returncode == 0


def test_dry_run_touches_nothing(copy, people):
    done = rebuild(copy, "--all", "--dry-run")

    assert done.returncode == 0
    assert done.stdout.count("would be dropped") == 9
    assert rows(copy, "view_worklist_cases") == 20


@pytest.mark.parametrize("arguments", [(), ("--all", "worklist"), ("no_such_view",)])
def test_what_is_not_understood(copy, arguments):
    assert rebuild(copy, *arguments).returncode == 2
