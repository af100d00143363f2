"""``casekeeper doctor``: what is wrong, and what to do about it."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from application.settings import Settings
from cli.checks import findings
from cli.setting_list import listed_settings

_MARKS = {"ok": "ok     ", "warning": "note   ", "failed": "WRONG  "}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Check every dependency, say what to do, and list every setting with its value and meaning.

    Passwords are not shown. The exit status is 0 only if nothing is wrong.

    \b
    Example:
      casekeeper doctor
    """
    settings = Settings.read()
    found = list(findings(settings))
    listed = list(listed_settings(settings))
    if as_json:
        content = {"checks": [asdict(finding) for finding in found], "settings": [asdict(one) for one in listed]}
        click.echo(json.dumps(content))
    else:
        for finding in found:
            advice = f": {finding.advice}" if finding.advice and finding.state != "ok" else ""
            click.echo(f"{_MARKS[finding.state]}{finding.name:<13}{finding.found}{advice}")
        click.echo()
        for one in listed:
            click.echo(f"{one.variable}={one.value}\n    {one.meaning}")
    if any(finding.state == "failed" for finding in found):
        raise SystemExit(1)
