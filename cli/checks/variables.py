"""The environment: variables that look like settings of ours and are none, which no program would mention."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import fields
from difflib import get_close_matches

from application.settings import PREFIX, Settings, variable
from cli.checks.finding import Finding
from ops.runtime import RUN_ID

_KNOWN = [*(variable(field.name) for field in fields(Settings)), RUN_ID]


def variables(_settings: Settings) -> Iterator[Finding]:
    """Name every variable with our prefix that is no setting, and the setting whose name is like it."""
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in _KNOWN:
            [meant] = get_close_matches(name, _KNOWN, 1) or [""]
            advice = f"did you mean {meant}?" if meant else "the settings are listed below"
            yield Finding("variables", "warning", f"{name} is no setting", advice)
