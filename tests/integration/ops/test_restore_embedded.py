"""Backup and restore of a home with embedded servers, none of which runs: they are started for the command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from application.settings import Settings
from application.wiring import build_service
from ops.owned_databases import stopped_databases
from tests.keyrings import location_for
from tests.keys_story import casekeeper, closed, erased, new_installation, opened, registered


def test_a_home_that_lost_both_databases_has_them_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "home"
    home = Settings(home=str(folder), keyring=str(location_for(folder / "keyring")))
    monkeypatch.setenv("CASEKEEPER_HOME", home.home)
    for database in ("EVENTS", "VIEWS", "KEYS"):
        monkeypatch.delenv(f"CASEKEEPER_{database}_DSN", raising=False)
    with stopped_databases(home) as (events_dsn, keys_dsn):
        service = build_service(new_installation(events_dsn, keys_dsn, home.home_path))
        people = registered(service, 2)
        certificate = erased(service, people[0])
        whole = opened(service)
        closed(service)
        while_it_runs = casekeeper(home, "restore", "--from", str(tmp_path))

    made = casekeeper(home, "backup", "--to", str(tmp_path / "backup"))
    for cluster in ("pg-main", "pg-keys"):
        (home.home_path / cluster).rename(tmp_path / f"lost-{cluster}")
    put_back = casekeeper(home, "restore", "--from", str(tmp_path / "backup"))

    assert "no MANIFEST.json" in while_it_runs.stderr
    assert (made.returncode, put_back.returncode) == (0, 0), made.stderr + put_back.stderr
    with stopped_databases(home) as (events_dsn, keys_dsn):
        refused = casekeeper(home, "restore", "--from", str(tmp_path / "backup"))
        service = build_service(replace(home, events_dsn=events_dsn, keys_dsn=keys_dsn))
        assert opened(service) == whole
        closed(service)
    assert certificate in whole.values()
    assert "already running" in refused.stderr
