"""``casekeeper token``: a bearer token for trying things out, in development only."""

from __future__ import annotations

from contextlib import closing

import click

from api.dev_tokens import DEV_LIFETIME, DevIssuer
from api.tokens import TOKEN_ROLES
from application.settings import Settings
from application.wiring import open_vault
from domain.registry import ACTOR_ID
from domain.vocabulary import PURPOSES_OF_USE


@click.command("token")
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    type=click.Choice(sorted(TOKEN_ROLES)),
    help="Role; may be given again.",
)
@click.option("--actor", required=True, help="Opaque identifier of who acts: letters, digits and _.:-")
@click.option("--purpose", required=True, type=click.Choice(sorted(PURPOSES_OF_USE)), help="Purpose of use.")
@click.option(
    "--lifetime", type=click.IntRange(1, 30 * 86400), default=DEV_LIFETIME, show_default=True, help="Seconds."
)
def command(roles: tuple[str, ...], actor: str, purpose: str, lifetime: int) -> None:
    """Print a bearer token of the development issuer. Refused in production.

    \b
    Example:
      casekeeper token --role case_manager --actor a1 --purpose casework
    """
    if not ACTOR_ID.conforms(actor):
        raise click.BadParameter("must be 1 to 64 letters, digits and _.:-", param_hint="--actor")
    settings = Settings.load()
    with closing(open_vault(settings)) as vault:
        click.echo(DevIssuer(settings, vault).issue(actor, list(roles), purpose, lifetime))
