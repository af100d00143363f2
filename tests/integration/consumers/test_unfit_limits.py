"""A stream that was discarded is left out until the view is built anew; too many unfit records stop the view."""

from __future__ import annotations

import json
from uuid import uuid4

import psycopg2
from hostile import MARK, logged
from log_copy import LogCopy, record
from tally import Tally, position, tally, tallying
from test_dead_letters import UNFIT, letters, log_of, parked, views
from test_runner import publish

from consumers.unfit_limits import IN_A_ROW, MOST_UNFIT, WINDOW
from projections import parking, positions
from projections.base import PURGE
from tests.waiting import until


class TestDiscarded:
    """A view goes on without a stream that an operator has discarded, until it is built anew."""

    def test_what_comes_later_is_skipped_and_only_erasing_is_carried_out(self, log_copy: LogCopy) -> None:
        bad = uuid4()
        later = [record(stream_id=bad, version=2), record(PURGE, stream_id=bad, version=3), record()]
        log_of(log_copy, record(stream_id=bad, data=UNFIT), record(), *later)

        class Purging(Tally):
            handles = Tally.handles | {PURGE}

        with tallying(log_copy, Purging()):
            until(lambda: tally(log_copy) and position(log_copy) == 5)
        gone = views(log_copy, lambda cursor: parking.discard(cursor, "tally", bad, "uid 7", "OPS-1"))
        log_copy.append_together(record(stream_id=bad, version=4), record(PURGE, stream_id=bad, version=5), record())
        publish(log_copy, range(6, 9))
        written = len(letters(log_copy))
        with tallying(log_copy, Purging()):
            until(lambda: position(log_copy) == 8)

        assert gone == 2
        assert tally(log_copy) == [2, 4, 5, 7, 8]
        assert parked(log_copy) == []
        assert len(letters(log_copy)) == written
        [discarded] = views(log_copy, parking.all_discarded)
        assert (discarded.stream_id, discarded.first_position, discarded.records) == (bad, 1, 2)
        assert (discarded.discarded_by, discarded.ticket, discarded.reason) == ("uid 7", "OPS-1", "KeyError")

    def test_building_anew_brings_it_back(self, log_copy: LogCopy) -> None:
        bad = uuid4()
        log_of(log_copy, record(stream_id=bad, data=UNFIT), record())
        with tallying(log_copy):
            until(lambda: tally(log_copy) == [2])
        views(log_copy, lambda cursor: parking.discard(cursor, "tally", bad, "uid 7", "OPS-1"))
        mended = Tally()
        mended.strict = False
        connection = psycopg2.connect(log_copy.settings.views_dsn)
        positions.prepare(connection, mended, rebuild=True)
        connection.close()
        with tallying(log_copy, mended):
            until(lambda: tally(log_copy) == [1, 2])

        assert views(log_copy, parking.all_discarded) == []

    def test_only_what_is_parked_can_be_discarded(self, log_copy: LogCopy) -> None:
        log_of(log_copy, record())
        with tallying(log_copy):
            until(lambda: tally(log_copy) == [1])

        assert views(log_copy, lambda cursor: parking.discard(cursor, "tally", uuid4(), "uid 7", "OPS-1")) == 0
        assert views(log_copy, parking.all_discarded) == []


class TestLimits:
    """Too many unfit records are no fault of theirs: the view stops where it is and sets no more aside."""

    def test_so_many_in_a_row_stop_the_view(self, log_copy: LogCopy) -> None:
        log_of(log_copy, record(), *(record(data=UNFIT) for _ in range(30)), record())
        with logged() as log, tallying(log_copy) as part:
            until(lambda: part.said.state == "halted")

        assert part.said.code == "TooManyUnfit"
        assert position(log_copy) == IN_A_ROW
        assert len(parked(log_copy)) == len(letters(log_copy)) == IN_A_ROW - 1 == 4
        said = [json.loads(line) for line in log.getvalue().splitlines()]
        assert [line["position"] for line in said if line["event"] == "part halted"] == [IN_A_ROW + 1]
        assert MARK not in log.getvalue()

    def test_more_than_one_in_a_hundred_stop_the_view(self, log_copy: LogCopy) -> None:
        log_of(log_copy, *(record(data=UNFIT if n % 3 == 0 else None) for n in range(1, 61)))
        with tallying(log_copy) as part:
            until(lambda: part.said.state == "halted")

        assert part.said.code == "TooManyUnfit"
        assert len(parked(log_copy)) == MOST_UNFIT == 10
        assert position(log_copy) == 32

    def test_what_only_follows_in_its_stream_does_not_count(self, log_copy: LogCopy) -> None:
        bad = uuid4()
        log_of(log_copy, *(record(stream_id=bad, version=n, data=UNFIT) for n in range(1, 41)), record())
        with tallying(log_copy) as part:
            until(lambda: tally(log_copy) == [41])

        assert part.said.code == ""
        assert parked(log_copy) == [(bad, 1, 40, "KeyError")]

    def test_as_many_over_a_longer_stretch_do_not(self, log_copy: LogCopy) -> None:
        every = WINDOW // MOST_UNFIT
        log_of(log_copy, *(record(data=UNFIT if n % every == 0 else None) for n in range(1, 15 * every + 1)))
        with tallying(log_copy) as part:
            until(lambda: tally(log_copy) and position(log_copy) == 15 * every)

        assert part.said.code == ""
        assert len(parked(log_copy)) == 15

    def test_to_start_the_worker_again_does_not_begin_the_count_anew(self, log_copy: LogCopy) -> None:
        log_of(log_copy, *(record(data=UNFIT if n % 3 == 0 else None) for n in range(1, 61)))
        for _ in range(3):
            with tallying(log_copy) as part:
                until(lambda: part.said.state == "halted")

        assert len(parked(log_copy)) == MOST_UNFIT
        assert position(log_copy) == 32

    def test_once_somebody_has_looked_the_view_goes_on(self, log_copy: LogCopy) -> None:
        log_of(log_copy, *(record(data=UNFIT if n % 3 == 0 else None) for n in range(1, 49)))
        with tallying(log_copy) as part:
            until(lambda: part.said.state == "halted")
        for stream, *_ in parked(log_copy):
            views(log_copy, lambda cursor, one=stream: parking.discard(cursor, "tally", one, "uid 7", "OPS-1"))
        with tallying(log_copy):
            until(lambda: position(log_copy) == 48)

        assert tally(log_copy) == [n for n in range(1, 49) if n % 3]
