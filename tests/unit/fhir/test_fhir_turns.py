"""People are spread over as few readings as fit, and never are too many entries open at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cli.fhir.turns import plan_turns

SPANS = st.dictionaries(
    st.integers(0, 50),
    st.tuples(st.integers(1, 20), st.integers(0, 100), st.integers(0, 100)).map(lambda s: (s[0], s[1], s[1] + s[2])),
)


@given(SPANS, st.integers(1, 60))
def test_open_at_any_moment(spans, most):
    turns = plan_turns(spans, most)

    assert turns.keys() == spans.keys()
    for turn in set(turns.values()):
        for moment in range(201):
            open_ = [spans[p][0] for p in turns if turns[p] == turn and spans[p][1] <= moment <= spans[p][2]]
            assert len(open_) < 2 or sum(open_) <= most


def test_people_one_after_another_need_one_reading():
    assert set(plan_turns({n: (5, 10 * n, 10 * n + 9) for n in range(100)}, 5).values()) == {0}


def test_people_all_over_the_files_need_several():
    assert max(plan_turns({n: (5, n, 1000 + n) for n in range(10)}, 10).values()) == 4
