"""Runs ``casekeeper`` in this process with something happening at a named function; the rest is the genuine program."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any


def run_casekeeper(arguments: Sequence[str], where: str, when: str, act: Callable[[], None]) -> None:
    """Run it with ``act`` called ``before`` the function ``<module>:<name>``, or ``after`` it has returned.

    The function is wrapped where it is defined; a call of it that raises has not returned.
    """
    module_name, _, path = where.partition(":")
    owner: Any = importlib.import_module(module_name)
    *outer, name = path.split(".")
    for attribute in outer:
        owner = getattr(owner, attribute)
    setattr(owner, name, _wrapped(getattr(owner, name), when, act))
    from cli.main import main as genuine

    sys.argv = ["casekeeper", *arguments]
    genuine()


def _wrapped(function: Callable[..., Any], when: str, act: Callable[[], None]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapped(*given: Any, **named: Any) -> Any:
        if when == "before":
            act()
        result = function(*given, **named)
        if when == "after":
            act()
        return result

    return wrapped
