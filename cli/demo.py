"""``casekeeper demo``: the demonstration set, once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import click

from api.dev_tokens import DevIssuer
from application.settings import Settings
from application.wiring import open_vault
from cli.demo_calls import Calls, Refused
from cli.demo_people import PEOPLE, bundles, number_of
from cli.demo_story import Member, Story
from cli.fhir.publishing import Result
from cli.import_run import ImportOptions, run_import
from ops.health import says_ready

READY_SECONDS = 180.0
BEGUN = "demonstration-begun"
"""File in the home that holds the day on which the set was first loaded, so that going on changes no date."""


@click.command("demo")
def command() -> None:
    """Load 25 invented people and take several of them through consent, disclosure, withdrawal and erasure.

    They come in as any import does, the rest over HTTP with development tokens; refused in production. It can be
    stopped and started again at any time, and adds nothing the second time.

    \b
    Example:
      casekeeper demo
    """
    settings = Settings.load()
    if not settings.port:
        raise click.ClickException("no copy is running: start it with casekeeper up")
    url = f"http://{'127.0.0.1' if settings.host in ('0.0.0.0', '::') else settings.host}:{settings.port}"  # noqa: S104
    _wait_ready(url)
    with closing(open_vault(settings)) as vault:
        issuer = DevIssuer(settings, vault)
    click.echo(f"importing {PEOPLE} people")
    cast = import_people(settings)
    try:
        Story(Calls(url, issuer), cast, _first_day(settings.home_path), click.echo).tell()
    except Refused as refused:
        raise click.ClickException(f"the story stopped: {refused}") from None
    click.echo("done")


def import_people(settings: Settings) -> list[Member]:
    """Import the people, or find them when they were before; return all of them.

    Raises :class:`click.ClickException` when somebody was not taken, or nothing answers.
    """
    taken: list[Result] = []
    with _in_memory() as paths:
        run_import(
            settings,
            paths,
            ImportOptions(source="demonstration"),
            on_read=lambda file, size: None,
            on_found=lambda number: None,
            on_taken=taken.extend,
        )
    refused = {result.refused for result in taken if result.refused} - {"subject-erased"}
    if refused or len(taken) != PEOPLE:
        raise click.ClickException(f"the people were not all taken: {', '.join(sorted(refused)) or 'some are missing'}")
    return [Member(number_of(r.person.identity), r.subject_id, r.case_id) for r in taken]


@contextmanager
def _in_memory() -> Iterator[Sequence[Path]]:
    """Give the bundles as one file that is on no disk: even of invented people no content is left lying about."""
    descriptor = os.memfd_create("demonstration")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.writelines(bundle + b"\n" for bundle in bundles())
        yield [Path(f"/proc/self/fd/{descriptor}")]
    finally:
        os.close(descriptor)


def _wait_ready(url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not says_ready(url):
        if time.monotonic() > deadline:
            raise click.ClickException("the copy did not become ready in time")
        time.sleep(0.5)


def _first_day(home: Path) -> date:
    marker = home / BEGUN
    try:
        return date.fromisoformat(marker.read_text())
    except FileNotFoundError:
        today = datetime.now(UTC).date()
        marker.write_text(today.isoformat())
        marker.chmod(0o600)
        return today
