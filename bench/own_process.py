"""Runs what is measured in a process of its own: with a fresh heap, and on one core where that is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from application.logging import configure


def in_own_process(function: Callable[..., Any], *given: Any, one_core: bool = False) -> Any:
    """Return what a function returns in a new process. Function and arguments must be importable and picklable."""
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=_settle, initargs=(one_core,)) as process:
        return process.submit(function, *given).result()


def _settle(one_core: bool) -> None:
    configure("error")
    if one_core:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
