"""Temporary files: PostgreSQL's hold what its tables hold, which is sealed, and our own processes write none."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from api_world import World
from crashable_cluster import OwnCluster
from flask import Flask, request
from psycopg2.extensions import connection as Connection

from api.body import MAX_BODY_BYTES

ROOT = Path(__file__).parents[2]
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_written: list[str] | None = None


def _noted(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _written is not None and isinstance(arguments[2], int) and arguments[2] & _WRITING:
        _written.append(str(arguments[0]))


@contextlib.contextmanager
def files_written():
    """Give the list of files that this process opens for writing meanwhile, also those without a name."""
    global _written
    if not hasattr(sys, "_hiding_places_hook"):
        sys.addaudithook(_noted)
        sys._hiding_places_hook = True  # type: ignore[attr-defined]
    _written = found = []
    try:
        yield found
    finally:
        _written = None


def sorted_on_disk(session: Connection, data: Path, marker: str, values: str) -> bool:
    """Sort rows that do not fit into memory, and return whether the marker is in the server's temporary files."""
    session.autocommit = False
    with session.cursor() as plain:
        plain.execute("SET work_mem = '64kB'")
    with session.cursor("held open") as cursor:
        cursor.itersize = 1
        cursor.execute(f"SELECT * FROM ({values}) rows ORDER BY 1 DESC")
        assert cursor.fetchone() is not None
        files = [path for path in data.glob("base/pgsql_tmp/**/*") if path.is_file()]
        assert files, "the sort went to disk"
        found = any(marker.encode() in file.read_bytes() for file in files)
    session.rollback()
    session.autocommit = True
    return found


def test_what_postgresql_sorts_on_disk_is_sealed(own_cluster: OwnCluster, world: World, marker: str) -> None:
    """The rows of a view that holds a person with the marker in every text, many times over."""
    subject, case = world.registered(given_name=marker, family_name=marker)
    position = world.people.manager.post(f"/v1/cases/{case}/notes", {"text": marker}).json["receipt"]["position"]
    assert marker in world.people.manager.get(f"/v1/cases/{case}?after={position}").text, "it is there to be opened"
    with closing(own_cluster.administrator()) as session, session.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE rows_of_views (row text)")
        rows = rows_about(world, subject, case)
        assert any("ck1." in row for row in rows), "sealed values are among them"
        for row in rows:
            cursor.execute("INSERT INTO rows_of_views VALUES (%s)", (row,))
        assert not sorted_on_disk(
            session, own_cluster.data, marker, "SELECT row || n FROM rows_of_views, generate_series(1, 3000) n"
        )
        planted = f"SELECT '{marker}' || n FROM generate_series(1, 20000) n"
        assert sorted_on_disk(session, own_cluster.data, marker, planted), "what is sorted in clear is found there"


def rows_about(world: World, *ids: str) -> list[str]:
    """Return every row of the views that names one of these ids, as text."""
    with closing(psycopg2.connect(world.settings.views_dsn)) as views, views.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        found: list[str] = []
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            found += [row for (row,) in cursor.fetchall() if any(one in row for one in ids)]
        return found


def multipart(marker: str, size: int) -> tuple[bytes, str]:
    """Return a form with a file of this size, and its media type."""
    head = f'--x\r\nContent-Disposition: form-data; name="token"; filename="{marker}.txt"\r\n\r\n{marker}'
    return head.encode() + b"y" * size + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"


@pytest.mark.parametrize("path", ["/signin", "/signout", "/v1/subjects", "/v1/cases"])
@pytest.mark.parametrize("size", [10_000, MAX_BODY_BYTES - 1_000])
def test_a_form_with_a_file_is_not_put_on_the_disk(world: World, marker: str, path: str, size: int) -> None:
    body, media_type = multipart(marker, size)
    client = world.app.test_client()
    with files_written() as written:
        answer = client.post(path, data=body, content_type=media_type)

    assert answer.status_code in (401, 403, 413, 415)
    assert written == []


def test_a_form_that_werkzeug_reads_by_itself_is_put_there(marker: str) -> None:
    app = Flask("plain")
    app.add_url_rule("/", view_func=lambda: str(len(request.files)), methods=["POST"])
    body, media_type = multipart(marker, MAX_BODY_BYTES)
    with files_written() as written:
        assert app.test_client().post("/", data=body, content_type=media_type).text == "1"

    assert written != []


def test_reading_bundles_of_fhir_writes_nothing(tmp_path: Path, marker: str) -> None:
    """All of the import but publishing: reading, sorting into people, and the report of what was left out."""
    file = tmp_path / "bundle.json"
    file.write_text(json.dumps(bundle(marker)))
    program = (
        "import sys\nfrom pathlib import Path\nopened = []\n"
        "def hook(event, a):\n"
        "    if event == 'open' and isinstance(a[2], int) and a[2] & 67: opened.append(str(a[0]))\n"
        "from cli.fhir.reading import FhirFiles\nfrom cli.fhir.report import Report\n"
        "sys.dont_write_bytecode = True\nsys.addaudithook(hook)\nreport = Report()\n"
        "found = list(FhirFiles.open([Path(sys.argv[1])]).imports('en', '1', report))\n"
        "print(len(found), opened, sys.argv[2] in repr(vars(report)))\n"
        "open(sys.argv[1] + '.planted', 'w')\nprint(opened == [sys.argv[1] + '.planted'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(file), marker], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (done.stderr, done.stdout.splitlines()) == ("", ["1 [] False", "True"])


def bundle(marker: str) -> dict[str, object]:
    name = [{"family": marker, "given": [marker]}]
    patient = {"resourceType": "Patient", "id": "p1", "name": name, "birthDate": "1970-02-03", "gender": marker}
    condition = {
        "resourceType": "Condition",
        "id": "c1",
        "subject": {"reference": "Patient/p1"},
        "code": {"text": marker},
        "onsetString": marker,
    }
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in (patient, condition)]}
