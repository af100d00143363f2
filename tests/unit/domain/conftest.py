from __future__ import annotations

import pytest

from tests.unit.domain.story import Story


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.fixture
def refused():
    """Run a decision, return the slug of the rule that refused it."""
    from domain.errors import RuleRefused

    def run(decide, *args, **kwargs) -> str:
        with pytest.raises(RuleRefused) as refusal:
            decide(*args, **kwargs)
        return refusal.value.rule.slug

    return run
