"""All benchmarks: the modules of this folder that declare figures."""

from __future__ import annotations

import importlib
import pkgutil
from typing import cast

import bench
from bench.figures import Bench, Figure


def benches() -> list[Bench]:
    """Return the modules with ``FIGURES`` and ``measure``, by name."""
    names = [f"bench.{found.name}" for found in pkgutil.iter_modules(bench.__path__) if found.name != "__main__"]
    modules = [importlib.import_module(name) for name in sorted(names)]
    return [cast(Bench, module) for module in modules if hasattr(module, "FIGURES")]


def figures() -> list[Figure]:
    """Return every declared figure, without measuring any."""
    return [figure for found in benches() for figure in found.FIGURES]
