"""``casekeeper audit``: what the log itself says."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import click
from rich.console import Console

from application.settings import Settings
from cli.local_service import local_service, regulator
from cli.replay_source import replay_source


@click.group("audit")
def command() -> None:
    """Replay the log."""


@command.command("replay")
@click.option("--subject", "subject_id", type=click.UUID, help="Replay one person.")
@click.option("--case", "case_id", type=click.UUID, help="Replay one case.")
@click.option("--as-of", metavar="T|POSITION", help="A position of the log, or a time as RFC 3339 with an offset.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, the same bytes for the same log.")
def replay(subject_id: UUID | None, case_id: UUID | None, as_of: str | None, as_json: bool) -> None:
    """Show what happened to a person or a case and how things stood, from the events topic alone.

    Nothing is opened: sealed parts are named, erased ones shown as tombstones with their certificate. That somebody
    looked is itself recorded.

    \b
    Example:
      casekeeper audit replay --subject 5c0c5d6e-0c7a-4a86-8f0e-3d2a55e34a10 --as-of 2026-03-01T12:00:00Z
    """
    if (subject_id is None) == (case_id is None):
        raise click.UsageError("either --subject or --case is needed")
    settings = Settings.load()
    with local_service(settings) as service:
        found = replay_source(settings, service.vault)(subject_id, case_id, as_of)
        subjects = [UUID(found["subject_id"])]
        service.reading.open(regulator(), "replay", {}, subject_ids=subjects, case_id=case_id)
    if as_json:
        click.echo(json.dumps(found, sort_keys=True, indent=2))
    else:
        show(found, Console(soft_wrap=True, highlight=False, markup=False))


def show(found: dict[str, Any], console: Console) -> None:
    """Print a replay for people to read."""
    state, as_of = found["state"], found["as_of"]
    console.print(f"as of position {as_of['position']}, {as_of['time']}; policy {state['policy_in_force']}")
    for entry in found["history"]:
        who = f"{entry['actor']['id']} ({entry['actor']['role']})"
        sealed = ", ".join(f"{name} {_part(part)}" for name, part in entry["sealed"].items())
        line = f"{entry['position']:>8}  {entry['recorded_at'][:19]}  {entry['type']:<22} {who}"
        console.print(f"{line}: {sealed}" if sealed else line)
    subject = state["subject"]
    if subject is not None:
        console.print(f"person {subject['id']}: {subject['state']}, identity {_part(subject['identity'])}")
    for line in _ledger_lines(state):
        console.print(line)


def _ledger_lines(state: dict[str, Any]) -> list[str]:
    lines = [f"case {case['id']}: {case['state']}, {len(case['intakes'])} intakes" for case in state["cases"]]
    for consent in state["consents"]:
        until = f"until {consent['valid_until']}" if consent["valid_until"] else "without an end"
        lines.append(f"consent {consent['id']}: {consent['state']}, for {consent['purpose']}, {until}")
    for disclosure in state["disclosures"]:
        lines.append(f"disclosure {disclosure['id']}: {disclosure['state']}, for {disclosure['purpose']}")
        if facts := disclosure.get("allowed_by"):
            agreement, consent = facts["agreement"] or {}, facts["consent"] or {}
            lines.append(
                f"  allowed by policy clause {facts['policy_clause']}: consent {consent.get('id')} "
                f"({consent.get('state')} then), agreement {agreement.get('id')}, "
                f"second person {'yes' if facts['second_person'] else 'no'}"
            )
    for request in state["requests"]:
        lines.append(f"request {request['id']}: {request['right']}, {request['state']}")
    for erasure in state["erasures"]:
        lines.append(
            f"erasure {erasure['certificate_id']}: {erasure['state']}, destroyed {erasure.get('destroyed_at')}"
        )
    return lines


def _part(part: dict[str, Any] | None) -> str:
    if part is None:
        return "none"
    if "erased" in part:
        return f"erased {part['erased']['at'][:19]}, certificate {part['erased']['certificate_id']}"
    return f"sealed ({part['sealed']['category']})"
