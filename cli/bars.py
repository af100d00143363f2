"""A progress bar on a terminal, nothing elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress


@contextmanager
def bar(description: str) -> Iterator[Callable[[int, int], None]]:
    """Give ``moved(done, all)`` for the time of the block; it draws on standard error if that is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, all_: None
        return
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, all_: progress.update(task, completed=done, total=all_)
