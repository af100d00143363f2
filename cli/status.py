"""``casekeeper status``: what runs, and how far each view is."""

from __future__ import annotations

import json
from typing import Any

import click

from application.settings import Settings
from ops.health import ready_report
from ops.runtime import RecordedProcess, Runtime, is_held


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Say whether the copy is ready, which processes run and how far its views are.

    The exit status is 0 only if it is ready.

    \b
    Example:
      casekeeper status --json
    """
    report = status(Settings.load())
    click.echo(json.dumps(report) if as_json else "\n".join(_lines(report)))
    if not report["ready"]:
        raise SystemExit(1)


def status(settings: Settings) -> dict[str, Any]:
    """Return ``{"ready", "home", "held", "url", "kafka", "processes", "views", "degraded"}`` of the copy in this home.

    ``held``: whether a supervisor is at work there, which may be on its way up or down.
    """
    runtime = Runtime.read(settings.home_path)
    url = _url(settings, runtime)
    report = (ready_report(url) if url else None) or {}
    return {
        "ready": report.get("ready") is True,
        "home": str(settings.home_path),
        "held": is_held(settings.home_path),
        "url": url,
        "kafka": settings.kafka,
        "processes": [_process(process) for process in runtime.processes] if runtime else [],
        "views": report.get("views", []),
        "degraded": report.get("degraded", []),
    }


def _url(settings: Settings, runtime: Runtime | None) -> str:
    if runtime is not None and runtime.url:
        return runtime.url
    return f"http://{settings.host}:{settings.port}" if settings.port else ""


def _process(process: RecordedProcess) -> dict[str, Any]:
    identity = process.identity
    gone = process.state == "running" and (identity is None or not identity.is_running())
    state = "gone" if gone else process.state
    return {"name": process.name, "pid": process.pid, "state": state, "restarts": process.restarts}


def _lines(report: dict[str, Any]) -> list[str]:
    if not report["url"] and not report["ready"]:
        return [_not_there(report)]
    lines = [f"{_state(report)}  {report['url']}  kafka {report['kafka']}"]
    lines += [
        f"  process {row['name']:<12} {row['state']:<9} pid {row['pid']}  restarts {row['restarts']}"
        for row in report["processes"]
    ]
    lines += [_view(row) for row in report["views"]]
    lines += [f"  degraded: {what}" for what in report["degraded"]]
    return lines


def _not_there(report: dict[str, Any]) -> str:
    if report["held"]:
        return f"starting or stopping in {report['home']}: look again, or in its logs"
    return f"not running in {report['home']}: start it with casekeeper up, or set CASEKEEPER_HOME to the folder of one"


def _state(report: dict[str, Any]) -> str:
    if not report["ready"]:
        return "not ready"
    return "ready, degraded" if report["degraded"] else "ready"


def _view(row: dict[str, Any]) -> str:
    line = f"  view    {row['name']:<12} {row.get('state', ''):<9} position {row['position']}"
    lag = "unknown" if row["lag"] is None else row["lag"]
    aside = [f"  {what} streams {row[what]}" for what in ("parked", "discarded") if row.get(what)]
    return f"{line}  lag {lag}" + "".join(aside)
