"""``casekeeper keys``: what keys do and did."""

from __future__ import annotations

import click

from cli import keys_certificate


@click.group("keys")
def command() -> None:
    """Look after keys, and prove what their destruction erased."""


command.add_command(keys_certificate.command)
