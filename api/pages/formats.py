"""How values look on a page."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from flask import Flask
from markupsafe import Markup, escape

from api.case_view import is_tombstone
from api.pages.session import form_token, keep_form_cookie

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def register(app: Flask) -> None:
    """Give templates these filters."""
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(
        words=words, moment=moment, day=day, address=address, query=query, name=person_name, code=code
    )
    app.jinja_env.tests.update(tombstone=is_tombstone)
    app.jinja_env.globals.update(form_token=form_token)
    app.after_request(keep_form_cookie)


def words(code: str) -> str:
    """Return a word of a closed list as people read it: ``second_opinion`` → ``Second opinion``."""
    text = code.replace("_", " ")
    return text[:1].upper() + text[1:]


def moment(value: str | datetime | None) -> str:
    """Return a time to the minute in UTC, marked up with its exact form."""
    return _time(value, lambda at: f"{at.day} {_MONTHS[at.month - 1]} {at.year}, {at:%H:%M}")


def day(value: str | datetime | None) -> str:
    """Return the day of a time in UTC, marked up with its exact form."""
    return _time(value, lambda at: f"{at.day} {_MONTHS[at.month - 1]} {at.year}")


def person_name(identity: Any) -> str:
    """Return a person's name, family name first as in a register; empty when it is not known."""
    if not isinstance(identity, dict):
        return ""
    given, family = identity.get("given_name") or "", identity.get("family_name") or ""
    return f"{family}, {given}" if given and family else family or given


def address(value: Any) -> str:
    """Return an address, given as text or in parts, on one line."""
    if not isinstance(value, dict):
        return value or ""
    town = " ".join(part for part in (value.get("postal_code"), value.get("city")) if part)
    return ", ".join(part for part in [*(value.get("lines") or []), town, value.get("country")] if part)


def code(text: str) -> Markup:
    """Return text with what stands between backticks marked up as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def query(filters: dict[str, Any]) -> str:
    """Return a query string of the filters that are set."""
    return urlencode({name: value for name, value in filters.items() if value is not None})


def due_in(value: str | None, now: datetime) -> str:
    """Return how near a due time is: ``overdue``, ``soon`` (within 7 days), ``later`` or empty without one."""
    if value is None:
        return ""
    left = parse(value) - now
    if left.total_seconds() < 0:
        return "overdue"
    return "soon" if left.days < 7 else "later"


def parse(value: str | datetime) -> datetime:
    """Return a time as such."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def _time(value: str | datetime | None, shown: Any) -> str:
    if value is None:
        return ""
    at = parse(value).astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(f"{at:%Y-%m-%dT%H:%M:%SZ}", shown(at))
