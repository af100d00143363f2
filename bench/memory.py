"""What a rebuild takes in memory: the same for a long log as for a short one."""

from __future__ import annotations

import resource
from collections.abc import Iterator

from application.settings import Settings
from bench.catch_up import catch_up, empty_view
from bench.figures import Figure, Group, Result, Run
from bench.own_process import in_own_process
from bench.spine import fill_topic, spine

VIEW = "case_page"
LIMIT_MB = 20
_SHORT, _LONG = (20_000, 200_000), (100_000, 1_000_000)


def _growth(few: int, many: int, group: Group) -> Figure:
    name = f"rebuild of {many:,} events, memory over that of {few:,}"
    return Figure(name, "MB", 1.0, at_most=True, group=group, note=f"the goal of {LIMIT_MB} MB")


def _peak(count: int, group: Group) -> Figure:
    return Figure(f"rebuild of {count:,} events, peak memory", "MB", group=group, note="the whole process; none")


GROWTHS = {_SHORT: _growth(*_SHORT, "main"), _LONG: _growth(*_LONG, "full")}
PEAKS = {_SHORT: _peak(_SHORT[1], "main"), _LONG: _peak(_LONG[1], "full")}
FIGURES = (*PEAKS.values(), *GROWTHS.values())


def measure(run: Run) -> Iterator[Result]:
    """Yield the peak of a process that rebuilds a view from the whole log, less that of one that rebuilds a tenth."""
    wanted = [sizes for sizes in GROWTHS if run.wants(GROWTHS[sizes]) or run.wants(PEAKS[sizes])]
    with spine(run.folder) as settings:
        fill_topic(settings, max(many for _, many in wanted))
        for few, many in wanted:
            less, more = (_rebuilt(settings, count) for count in (few, many))
            yield PEAKS[few, many].result(more)
            yield GROWTHS[few, many].result(more - less, LIMIT_MB)


def _rebuilt(settings: Settings, count: int) -> float:
    empty_view(settings, VIEW)
    return float(in_own_process(peak_of_rebuild, settings, count))


def peak_of_rebuild(settings: Settings, count: int) -> float:
    """Rebuild a view up to a position; return the highest resident size of this process, in MB."""
    catch_up(settings, VIEW, count)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
