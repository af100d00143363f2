"""``casekeeper rebuild``: views built anew from the log, while everything else goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from threading import Event

import click
from rich.console import Console
from rich.progress import Progress

from application.settings import Settings
from application.wiring import build_saga
from cli.local_service import local_service
from consumers.parts import Part
from consumers.published import MAC_SECRET, RecordMac
from consumers.worker import feed_of, runner_of
from domain.errors import ViewBehind
from domain.vocabulary import VIEWS
from postgres.opening import open_connection
from projections.base import Projection
from projections.catalogue import projections
from projections.positions import prepare
from projections.views import Views

_LOOK_SECONDS = 0.3
STALLED_SECONDS = 120.0
"""How long a view may stand still before the command gives up watching it; it is rebuilt all the same."""


@click.command("rebuild")
@click.argument("views", nargs=-1, type=click.Choice(sorted(VIEWS)))
@click.option("--all", "every", is_flag=True, help="All views.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def command(views: tuple[str, ...], every: bool, dry_run: bool) -> None:
    """Drop views and build them anew from the events topic.

    Workers may run meanwhile: whichever process leads a view takes the events in again from the first one. Until a
    view has caught up, pages and lists that need it lack what it has not reached.

    \b
    Example:
      casekeeper rebuild worklist case_page
    """
    if every == bool(views):
        raise click.UsageError("name views, or say --all")
    wanted = sorted(VIEWS) if every else list(dict.fromkeys(views))
    settings = Settings.load()
    with local_service(settings) as service:
        head = service.log.head()
        if dry_run:
            for name in wanted:
                click.echo(f"{name}: would be dropped and built anew from {head} events")
            return
        made = [p for p in projections(build_saga(service), service.vault, settings.index_days) if p.name in wanted]
        rebuild(settings, made, head, service.vault.secret(MAC_SECRET), _watch(wanted, head))
    click.echo(f"rebuilt to position {head}: {', '.join(wanted)}")


def rebuild(
    settings: Settings, views: Sequence[Projection], head: int, mac_key: bytes, on_moved: Callable[[str, int], None]
) -> None:
    """Drop views and return when each has reached ``head``; ``on_moved`` is told a view and its position.

    Raises ``ViewsUnavailable``, and :class:`ViewBehind` when a view stands still for two minutes.
    """
    stop = Event()
    feed = feed_of(settings, RecordMac(mac_key))
    stand_ins = [Part(view.name, partial(runner_of, settings, feed, view), stop) for view in views]
    connection = open_connection(settings.views_dsn, "casekeeper rebuild")
    try:
        for view in views:
            prepare(connection, view, rebuild=True)
    finally:
        connection.close()
    # Where no worker leads a view, this process does; where one does, these wait for their turn and never have it.
    for part in stand_ins:
        part.start()
    try:
        with closing(Views(settings.views_dsn, size=1)) as reached:
            _wait(reached, [view.name for view in views], head, on_moved)
    finally:
        stop.set()
        for part in stand_ins:
            part.join()


def _wait(reached: Views, names: Sequence[str], head: int, on_moved: Callable[[str, int], None]) -> None:
    last: dict[str, int] = {}
    moved = time.monotonic()
    while True:
        now = {name: position for name, position in reached.positions().items() if name in names}
        for name, position in now.items():
            on_moved(name, min(position, head))
        if len(now) == len(names) and min(now.values()) >= head:
            return
        if now != last:
            last, moved = now, time.monotonic()
        elif time.monotonic() - moved > STALLED_SECONDS:
            behind = min(now, key=lambda name: now[name])
            raise ViewBehind(behind, head, now[behind])
        time.sleep(_LOOK_SECONDS)


def _watch(names: Sequence[str], head: int) -> Callable[[str, int], None]:
    console = Console(stderr=True)
    if not console.is_terminal:
        return lambda name, position: None
    progress = Progress(console=console)
    progress.start()
    click.get_current_context().call_on_close(progress.stop)
    tasks = {name: progress.add_task(name, total=head) for name in names}
    return lambda name, position: progress.update(tasks[name], completed=position)
