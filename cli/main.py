"""The ``casekeeper`` command: a group whose commands are loaded only when they are used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping

import click

from application.logging import configure
from application.settings import Settings
from domain.errors import CasekeeperError, RetriableError
from ops.errors import LocalServerError
from ops.processes import forbid_core_dumps

COMMANDS: Mapping[str, tuple[str, str]] = {
    "up": ("cli.up", "Start everything, and stop it again with Ctrl-C."),
    "status": ("cli.status", "Say how the running copy is."),
    "doctor": ("cli.doctor", "Check every dependency and list every setting."),
    "token": ("cli.token", "Print a bearer token (development only)."),
    "import": ("cli.import_fhir", "Read people and cases from FHIR bundles."),
    "demo": ("cli.demo", "Load the demonstration set."),
    "audit": ("cli.audit", "Replay the log."),
    "actors": ("cli.actors", "Register publishing services and their keys."),
    "deadletters": ("cli.deadletters", "See what was set aside; put it back, or go on without it."),
    "rebuild": ("cli.rebuild", "Build a view anew from the log."),
    "keys": ("cli.keys", "Check all keys, renew them, back them up; prove what was erased."),
    "backup": ("cli.backup", "Write a backup of events and wrapped keys."),
    "restore": ("cli.restore", "Put a backup into empty databases."),
    "migrate": ("cli.migrate", "Bring the databases to the current schema."),
    "api": ("cli.api", "Run one API process."),
    "worker": ("cli.worker", "Run one worker process."),
}
"""Module and one line of help of each command, in the order they are listed."""


class LazyGroup(click.Group):
    """A group that lists its commands without importing them: ``--help`` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command meant. Raises ``NoSuchCommand``, which names those that look alike."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command: click.Command = importlib.import_module(module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="casekeeper")
def cli() -> None:
    """Event-sourced case management: consent, disclosure and forgetting as events.

    Settings are environment variables CASEKEEPER_*; casekeeper doctor lists them.

    \b
    Example:
      casekeeper up
    """


def main() -> None:
    """Run the command line; exit status 0 only on success, one line on standard error otherwise."""
    # What the service's own code logs must not stand between the lines a script reads from standard output.
    configure("warning")
    forbid_core_dumps(for_good=True)
    try:
        cli.main(prog_name="casekeeper")
    except (CasekeeperError, LocalServerError) as error:
        sys.exit(f"Error: {error}{_hint(error)}")
    except Exception as error:
        if not type(error).__module__.startswith("psycopg2"):
            raise
        # The driver's text can quote values of a row.
        sys.exit(f"Error: PostgreSQL refused ({getattr(error, 'pgcode', None) or type(error).__name__})")


def _hint(error: Exception) -> str:
    """Return what to do about an outage; where no server is known at all nothing runs in this home."""
    if not isinstance(error, RetriableError):
        return ""
    try:
        settings = Settings.load()
    except (CasekeeperError, ValueError, KeyError):
        return ""
    if settings.events_dsn or settings.keys_dsn:
        return " (try again; casekeeper doctor says what does not answer)"
    return f" (no copy runs in {settings.home_path}: start it with casekeeper up, or set CASEKEEPER_HOME to its folder)"


if __name__ == "__main__":
    main()
