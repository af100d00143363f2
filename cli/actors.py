"""``casekeeper actors``: the services that may publish on the inbox, and their keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import click

from application.settings import Settings
from casekeeper_client import new_key_pair
from cli.local_service import local_service, operator
from domain.record import Record
from store.log import EventLog

_PAGE = 1000


@click.group("actors")
def command() -> None:
    """Register the services that may publish on the inbox, list them, revoke their keys."""


@command.command("add")
@click.option("--service", "name", required=True, help="Opaque name of the service: letters, digits and _.:-")
@click.option("--public-key", help="The service's own Ed25519 public key (base64url); else a new pair is made.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def add(name: str, public_key: str | None, as_json: bool) -> None:
    """Register a service; print its id and, once and never again, the private key that was made for it.

    \b
    Example:
      casekeeper actors add --service web-forms --json
    """
    private, made = (None, public_key) if public_key else new_key_pair()
    with local_service(Settings.load()) as service:
        answer = service.execute("register_publisher", operator(), {}, {"service": name, "public_key": made}, None)
    found = {"publisher_id": answer.body["id"], "service": name, "public_key": made, "private_key": private}
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(f"publisher    {found['publisher_id']}\nservice      {name}\npublic key   {made}")
    if private is not None:
        click.echo(f"private key  {json.dumps(private)}\nKeep the private key: it is kept nowhere else.")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_(as_json: bool) -> None:
    """List the registered services, read from the log.

    \b
    Example:
      casekeeper actors list
    """
    with local_service(Settings.load()) as service:
        found = publishers(service.log)
    if as_json:
        click.echo(json.dumps({"items": found}))
        return
    for item in found:
        click.echo(f"{item['publisher_id']}  {item['state']:<7}  since {item['registered_at'][:10]}  {item['service']}")


@command.command("revoke")
@click.argument("publisher_id", type=click.UUID)
def revoke(publisher_id: UUID) -> None:
    """Stop accepting a service's key; takes effect within seconds.

    \b
    Example:
      casekeeper actors revoke 0b9a4f3e-5a0c-4f6e-9f43-7a4de3f7a001
    """
    with local_service(Settings.load()) as service:
        service.execute("revoke_publisher", operator(), {"publisher_id": publisher_id}, {}, None)
    click.echo(f"{publisher_id}  revoked")


def publishers(log: EventLog) -> list[dict[str, Any]]:
    """Return the publishing services in the order of their registration. Raises ``StoreUnavailable``."""
    found: dict[UUID, dict[str, Any]] = {}
    for record in _records(log):
        if record.type == "PublisherRegistered":
            found[record.stream_id] = {
                "publisher_id": str(record.stream_id),
                "service": record.data["service"],
                "public_key": record.data["public_key"],
                "registered_at": record.recorded_at.isoformat(),
                "state": "active",
            }
        elif record.type == "PublisherRevoked":
            found[record.stream_id]["state"] = "revoked"
    return list(found.values())


def _records(log: EventLog) -> Iterator[Record]:
    after = 0
    while page := log.read_from(after + 1, _PAGE):
        # Only two kinds are wanted, and reading a record takes longer than looking at its type.
        yield from (Record.parse(r.position, r.record) for r in page if r.type.startswith("Publisher"))
        after = page[-1].position
