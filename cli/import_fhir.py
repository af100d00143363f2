"""``casekeeper import``: people and cases out of files."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from application.settings import Settings
from cli.fhir.publishing import Result
from cli.fhir.report import Report
from cli.import_run import ImportOptions, dry_run, run_import
from domain.vocabulary import CASE_KINDS

_LINE_EVERY = 500


@click.group("import")
def command() -> None:
    """Read people and cases from files and publish them through the Kafka inbox."""


@command.command("fhir")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
)
@click.option("--dry-run", "only_check", is_flag=True, help="Read and check everything, publish nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
@click.option("--source", default="", metavar="NAME", help="Name of the system that the files come from.")
@click.option("--kind", type=click.Choice(sorted(CASE_KINDS)), default=ImportOptions.kind, show_default=True)
@click.option("--language", default=ImportOptions.language, show_default=True, help="Of people who state none.")
def fhir(files: Sequence[Path], only_check: bool, as_json: bool, source: str, kind: str, language: str) -> None:
    """Import FHIR R4: Bundles of any type, NDJSON, single resources, of any size, gzip-compressed or not.

    Each person becomes a subject, a case and an intake. Importing the same files again doubles nothing, and an import
    that was stopped goes on when it is started again. The report names files by their order here, never by their
    names, and repeats nothing of their content. The exit status is 0 only if every file was readable and everybody in
    them was taken.

    \b
    Example:
      casekeeper import fhir patients.ndjson.gz conditions.ndjson.gz --source st-elsewhere
    """
    options = ImportOptions(source, kind, language)
    try:
        with _watched(files, quiet=as_json) as watch:
            if only_check:
                report = dry_run(files, options, on_read=watch.read, on_taken=watch.taken)
            else:
                report = run_import(
                    Settings.load(), files, options, on_read=watch.read, on_found=watch.found, on_taken=watch.taken
                )
    except OSError as error:
        raise click.ClickException(f"a file cannot be read ({type(error).__name__})") from None
    click.echo(json.dumps(report.to_json(), indent=2) if as_json else "\n".join(summary(report)))
    sys.exit(0 if report.complete else 1)


def summary(report: Report) -> list[str]:
    """Return a report as lines for people."""
    people = report.people
    lines = [f"{people['found']} people: {people['new']} new, {people['known']} known, {people['refused']} refused"]
    lines += [f"  published {name}: {number}" for name, number in sorted(report.published.items())]
    lines += [f"  {type_}: {number} read" for type_, number in sorted(report.read.items())]
    lines += [
        f"  not taken: {number} {type_}, {reason}" for (type_, reason), number in sorted(report.not_taken.items())
    ]
    lines += [
        f"  left out of {type_}: {reason}, {number}" for (type_, reason), number in sorted(report.details.items())
    ]
    shown = [f"  file {p['file']} entry {p['index']}: {p['resource']}, {p['reason']}" for p in report.places[:20]]
    more = len(report.places) + report.places_left_off - len(shown)
    return [*lines, *shown, *([f"  and {more} more, see --json"] if more else [])]


@dataclass(frozen=True)
class _Watch:
    """Whom a run tells how far it is."""

    read: Callable[[int, int], None]
    found: Callable[[int], None]
    taken: Callable[[Sequence[Result]], None]


@contextmanager
def _watched(files: Sequence[Path], *, quiet: bool) -> Iterator[_Watch]:
    """Show progress: bars on a terminal, a line now and then elsewhere, on standard error."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(quiet=quiet)
        return
    sizes = [path.stat().st_size for path in files]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        reading = progress.add_task("reading", total=sum(sizes))
        publishing = progress.add_task("people", total=None)
        yield _Watch(
            lambda file, size: progress.update(reading, completed=sum(sizes[: file - 1]) + size),
            lambda number: progress.update(publishing, total=number),
            lambda results: progress.advance(publishing, len(results)),
        )


def _lines(*, quiet: bool) -> _Watch:
    taken = [0]

    def say(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    def count(results: Sequence[Result]) -> None:
        before, taken[0] = taken[0], taken[0] + len(results)
        if before // _LINE_EVERY != taken[0] // _LINE_EVERY:
            say(f"{taken[0]} people done")

    return _Watch(lambda file, size: None, lambda number: say(f"{number} people found"), count)
