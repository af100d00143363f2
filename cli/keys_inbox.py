"""``casekeeper keys inbox``: what is done where inbox keys were lost with the newest keyring."""

from __future__ import annotations

from contextlib import closing

import click

from application.inbox_keys import give_up_missing
from application.settings import Settings
from application.wiring import now, open_vault


@click.command("inbox")
@click.option("--give-up-missing", "given_up", is_flag=True, required=True, help="The keys that the keyring lacks.")
def command(given_up: bool) -> None:
    """Have messages to inbox keys that the keyring lacks hold the inbox no longer: each is set aside instead.

    For when the newest keyring is lost for good: what was encrypted to those keys can be opened by nobody, and is to be
    sent again. Messages to keys that are there are carried out. The service may run meanwhile.

    \b
    Example:
      casekeeper keys inbox --give-up-missing
    """
    with closing(open_vault(Settings.load())) as vault:
        kid = give_up_missing(vault, now())
    click.echo(f"missing inbox keys are given up; new messages are encrypted to {kid}")
