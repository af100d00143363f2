"""``casekeeper keys``: all keys checked, and given new ones; their backup looked after; what was erased proven."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import UTC

import click

from application.key_reconciliation import reconcile_keys
from application.settings import Settings
from application.wiring import build_resources, now, open_vault
from cli import keys_certificate, keys_inbox
from cli.bars import bar
from domain.errors import KeyringMismatch
from vault.change_log import ChangeLog
from vault.installation import inspect
from vault.verification import Finding

_MARKS = {True: "ok     ", False: "WRONG  "}


@click.group("keys")
def command() -> None:
    """Check all keys, give them new ones, look after their backup, prove what their destruction erased.

    \b
    Example:
      casekeeper keys verify
    """


command.add_command(keys_certificate.command)
command.add_command(keys_inbox.command)


@command.command("verify")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(as_json: bool) -> None:
    """Check every key: each live one opens, nothing destroyed lives, the change log is complete, the keyring right.

    What the event log says was destroyed and whose key lives (a restored keys cluster and keyring) is destroyed again
    first, and reported. The service may run meanwhile. The exit status is 0 only if everything is as it should be.

    \b
    Example:
      casekeeper keys verify
    """
    findings = []
    for finding in _checked(Settings.load()):
        findings.append(finding)
        if not as_json:
            click.echo(f"{_MARKS[finding.ok]}{finding.name:<16}{finding.found}")
    if as_json:
        click.echo(json.dumps({"checks": [asdict(finding) for finding in findings]}))
    if not all(finding.ok for finding in findings):
        raise SystemExit(1)


@command.command("rotate")
@click.option("--all", "every", is_flag=True, required=True, help="All keys above the data keys.")
@click.option("--continue", "go_on", is_flag=True, help="Go on with one that was killed; its keys of then stay.")
def rotate(every: bool, go_on: bool) -> None:
    """Give every person's and every inner node, and the root, a new key, while everything goes on.

    Data keys stay, because sealed events never change; they are wrapped again. Afterwards nothing that was written
    before opens anything: no old dump, log, page or copy of a root key.

    Killed, it goes on where it was with --continue. Without, it begins anew: after an incident nothing less helps,
    because what an earlier one had renewed may have been read since. At the end it says since when no key is older.

    \b
    Example:
      casekeeper keys rotate --all
    """
    with closing(open_vault(Settings.load())) as vault, bar("renewing keys") as moved:
        renewed = vault.renew_all(now(), moved, go_on=go_on)
    since = renewed.since.astimezone(UTC).isoformat(timespec="seconds")
    click.echo(f"{renewed.nodes} nodes have a new key, none is from before {since}; root key of epoch {renewed.epoch}")


@command.command("dump")
@click.option("--log-lost", is_flag=True, help="The change log, or its end, was lost: begin it anew.")
def dump(log_lost: bool) -> None:
    """Write a dump of all wrapped keys and begin the change log anew behind it; the generation before is kept.

    With --log-lost also where the log has lost its end or its folder, and the keys cluster is whole: the service
    makes no keys and destroys none until then.

    \b
    Example:
      casekeeper keys dump
    """
    settings = Settings.load()
    # Looks whether keyring and cluster belong together, and finishes nothing: the log comes first.
    inspect(settings.keys_dsn, settings.keyring_location)
    with closing(ChangeLog(settings.keys_dsn, settings.keys_log_path)) as log:
        end = log.dump(lost=log_lost)
    click.echo(f"generation {end.generation}: {end.length} bytes in {settings.keys_log_path}")


def _checked(settings: Settings) -> Iterator[Finding]:
    try:
        resources = build_resources(settings)
    except KeyringMismatch as mismatch:
        yield Finding("together", False, str(mismatch))
        return
    with closing(resources.log) as events, closing(resources.vault) as vault:
        done = reconcile_keys(events, vault)
        yield Finding("fences", True, f"{done.fences} compared with the keys")
        for again in done.again:
            found = f"certificate {again.certificate_id}: {again.keys} keys had come back"
            yield Finding("destroyed again", False, found)
        with bar("opening keys") as moved:
            findings = vault.verify(moved)
            first = next(findings)
        # The first opens all keys, which is what takes long; the bar is for that alone.
        yield first
        yield from findings
