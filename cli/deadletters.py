"""``casekeeper deadletters``: what views and the inbox have set aside, and what becomes of it."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any
from uuid import UUID

import click
import structlog

from application.logging import configure
from application.settings import Settings
from cli import set_aside
from cli.clear_fields import clear_fields
from consumers.letters import Letter, inbox_letters
from domain.errors import NotFound
from domain.instants import instant
from domain.vocabulary import VIEWS
from projections import parking
from projections.base import PURGE

INBOX = "inbox"
_REASON = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")
_Json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_Where = click.Choice(sorted(VIEWS))


@click.group("deadletters")
def command() -> None:
    """List what could not be taken in, look at it, put it back or go on without it.

    A record that does not fit into a view is set aside with all that follows it in its stream; other streams go on. A
    message that the inbox cannot read is set aside by itself. Nothing shown here is anybody's content.
    """


@command.command("list")
@click.option("--view", "where", type=click.Choice([*sorted(VIEWS), INBOX]), help="Of one view only, or of the inbox.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Newest of the inbox.")
@_Json
def list_(where: str | None, limit: int, as_json: bool) -> None:
    """List the streams that views have set aside or go on without, and the dead letters of the inbox.

    \b
    Example:
      casekeeper deadletters list --view people
    """
    settings = Settings.load()
    found: dict[str, Any] = {"parked": [], "discarded": []}
    if where != INBOX:
        with set_aside.views_cursor(settings.views_dsn) as cursor:
            parked, discarded = parking.all_parked(cursor), parking.all_discarded(cursor)
        found = {
            "parked": [_plain(vars(stream)) for stream in parked if where in (None, stream.view)],
            "discarded": [_plain(vars(stream)) for stream in discarded if where in (None, stream.view)],
        }
    if where in (None, INBOX):
        letters = inbox_letters(settings, limit)
        items = [_plain(vars(letter)) for letter in letters.items]
        found["inbox"] = {"items": items, "older": letters.older, "foreign": letters.foreign}
    click.echo(json.dumps(found) if as_json else "\n".join(_lines(found)))


@command.command("show")
@click.argument("where", type=click.Choice([*sorted(VIEWS), INBOX]))
@click.argument("which")
@_Json
def show(where: str, which: str, as_json: bool) -> None:
    """Show the records of a parked stream, or one dead letter of the inbox by its number.

    Of a record its clear fields are shown, where they are of the kind they should be; its sealed parts are named.

    \b
    Example:
      casekeeper deadletters show people 5c0c5d6e-0c7a-4a86-8f0e-3d2a55e34a10
      casekeeper deadletters show inbox 17
    """
    settings = Settings.load()
    found = {INBOX: [_plain(vars(_letter(settings, which)))]} if where == INBOX else _records(settings, where, which)
    if as_json:
        click.echo(json.dumps(found))
        return
    for item in next(iter(found.values())):
        click.echo("\n".join(f"{name:<24} {_text(value)}" for name, value in item.items()) + "\n")


@command.command("release")
@click.argument("view", type=_Where)
@click.argument("stream_id", type=click.UUID, required=False)
@click.option("--all", "every", is_flag=True, help="Every stream that the view has set aside.")
@click.option("--wait", type=click.FloatRange(0, 3600), default=20.0, show_default=True, help="Seconds to wait.")
@_Json
def release(view: str, stream_id: UUID | None, every: bool, wait: float, as_json: bool) -> None:
    """Put a parked stream back: whoever runs the view takes its records in, in order, where they fit now.

    Do this when the cause is mended, as by a new version. The first record that does not fit still, and all after it,
    stay set aside. The exit status is 0 only if everything was taken in.

    \b
    Example:
      casekeeper deadletters release people 5c0c5d6e-0c7a-4a86-8f0e-3d2a55e34a10
      casekeeper deadletters release people --all
    """
    if every == (stream_id is not None):
        raise click.UsageError("name a stream, or say --all")
    settings = Settings.load()
    with set_aside.views_cursor(settings.views_dsn) as cursor:
        streams = set_aside.parked(cursor, view, stream_id)
    found = set_aside.release(settings.views_dsn, streams, wait)
    items = [_release(one) for one in found]
    if as_json:
        click.echo(json.dumps({"items": items}))
    else:
        click.echo("\n".join(_release_line(item) for item in items) or f"{view} has set nothing aside")
    if any(one.became != "taken in" for one in found):
        raise SystemExit(1)


@command.command("discard")
@click.argument("view", type=_Where)
@click.argument("stream_id", type=click.UUID)
@click.option("--reason", required=True, help="A ticket's number or one word, kept and logged with it; no names.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def discard(view: str, stream_id: UUID, reason: str, yes: bool, dry_run: bool) -> None:
    """Let a view go on without a stream that it has set aside, until the view is built anew.

    The view then lacks what the stream says from there on, also what comes later. Only what erases is still carried
    out. The log keeps every event; casekeeper rebuild VIEW brings the stream back. Who discarded it, when and why is
    kept, listed and logged.

    \b
    Example:
      casekeeper deadletters discard people 5c0c5d6e-0c7a-4a86-8f0e-3d2a55e34a10 --reason OPS-1234 --yes
    """
    if not _REASON.fullmatch(reason):
        raise click.UsageError("--reason takes 1 to 64 letters, digits and _.:/-")
    settings = Settings.load()
    configure(settings.log_level)
    with set_aside.views_cursor(settings.views_dsn) as cursor:
        [stream] = set_aside.parked(cursor, view, stream_id)
        if parking.holds_erasure(cursor, view, stream_id, PURGE):
            raise click.UsageError("an erasure is among these records: release them, or rebuild the view")
    what = f"{view} goes on without stream {stream_id} from position {stream.first_position} on"
    if dry_run:
        click.echo(f"would be done: {what}; {stream.records} records are set aside")
        return
    if not yes:
        click.confirm(f"{what}, until it is built anew. Go on?", abort=True)
    user = set_aside.user()
    with set_aside.views_cursor(settings.views_dsn) as cursor:
        records = parking.discard(cursor, view, stream_id, user, reason)
    if not records:
        raise NotFound(f"stream set aside in {view}", stream_id)
    said = {"view": view, "stream_id": stream_id, "position": stream.first_position, "count": records}
    structlog.get_logger().warning("stream discarded", **said, code=reason, name=user.replace(" ", ":"))
    click.echo(f"{what}; {records} records were set aside")


def _letter(settings: Settings, which: str) -> Letter:
    if not which.isdecimal() or len(which) > 18:
        raise click.UsageError("a dead letter of the inbox is named by its number")
    found = inbox_letters(settings, 1, int(which)).items
    if not found:
        raise NotFound("dead letter of the inbox")
    return found[0]


def _records(settings: Settings, view: str, which: str) -> dict[str, list[dict[str, Any]]]:
    try:
        stream_id = UUID(which)
    except ValueError:
        raise click.UsageError("a stream is named by its UUID") from None
    with set_aside.views_cursor(settings.views_dsn) as cursor:
        set_aside.parked(cursor, view, stream_id)
        records = parking.records_of(cursor, view, stream_id)
    return {
        "records": [
            {"position": r.position, "reason": r.reason, "place": r.place, **clear_fields(r.value)} for r in records
        ]
    }


def _release(one: set_aside.Release) -> dict[str, Any]:
    item = {"view": one.stream.view, "stream_id": str(one.stream.stream_id), "records": one.stream.records}
    if one.stopped_at is None:
        return {**item, "became": one.became}
    at = {"position": one.stopped_at.position, "reason": one.stopped_at.reason, "place": one.stopped_at.place}
    return {**item, "became": one.became, **at}


def _release_line(item: dict[str, Any]) -> str:
    line = f"{item['view']}  {item['stream_id']}  {item['records']} records  {item['became']}"
    if "position" in item:
        return f"{line}: stopped at position {item['position']}, {item['reason']} at {item['place']}"
    return f"{line} until a worker runs the view" if item["became"] == "waits" else line


def _lines(found: dict[str, Any]) -> list[str]:
    lines = [
        f"parked     {row['view']:<12} {row['stream_id']}  from {row['first_position']}  records {row['records']}"
        f"  {row['reason']} at {row['place']}  since {row['parked_at'][:19]}{'  released' if row['released'] else ''}"
        for row in found["parked"]
    ]
    lines += [
        f"discarded  {row['view']:<12} {row['stream_id']}  from {row['first_position']}  records {row['records']}"
        f"  {row['reason']} at {row['place']}  {row['discarded_at'][:19]} by {row['discarded_by']}: {row['ticket']}"
        for row in found["discarded"]
    ]
    inbox = found.get("inbox", {"items": [], "older": 0, "foreign": 0})
    lines += [
        f"inbox      {row['number']:<8} {row['at'][:19]}  {row['source']}  {row['error']} at {row['place']}"
        for row in inbox["items"]
    ]
    if inbox["older"]:
        lines.append(f"inbox      and {inbox['older']} older ones: see --limit")
    if inbox["foreign"]:
        lines.append(f"inbox      {inbox['foreign']} records on the topic are no dead letters of ours")
    return lines or ["nothing is set aside"]


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: _json(value) for name, value in fields.items()}


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return instant(value)
    return str(value) if isinstance(value, UUID) else value


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} ({category})" for name, category in value.items()) or "-"
    return value if isinstance(value, str) else json.dumps(value)
