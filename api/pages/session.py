"""Signing in and out of the pages: the token in a cookie that scripts and other sites cannot use."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from flask import Blueprint, Response, g, make_response, redirect, render_template, request

from api.body import receive_callers_form, receive_form
from api.dev_tokens import DEV_LIFETIME, DevIssuer
from api.request_scope import peer, request_id, rooms
from application import problems
from application.caller import Caller
from application.permissions import READERS
from domain.errors import NotAllowed, NotAuthenticated

blueprint = Blueprint("session", __name__)

SESSION = "casekeeper_session"
FORM = "casekeeper_form"

View = Callable[..., Any]


@dataclass(frozen=True)
class DevPerson:
    """Somebody to sign in as in development."""

    key: str
    label: str
    actor: str
    role: str
    purpose: str
    does: str


DEV_PEOPLE = (
    DevPerson("case_manager", "Case manager", "a1", "case_manager", "casework", "works the cases"),
    DevPerson("privacy_officer", "Privacy officer", "p1", "privacy_officer", "rights", "sees cases and certificates"),
    DevPerson("regulator", "Regulator", "r1", "regulator", "audit", "sees facts, not content"),
)


@dataclass(frozen=True)
class Viewer:
    """Who looks at a page, as its header shows it; ``home`` is what their first page is called."""

    id: str
    role: str
    purpose: str
    home: str


@blueprint.get("/signin")
def signin() -> Response:
    """Show the form."""
    return _form(200)


@blueprint.post("/signin")
def sign_in() -> Response:
    """Take a token, or in development a person to sign in as, and start a session."""
    receive_form()
    check_form()
    person = next((p for p in DEV_PEOPLE if p.key == request.form.get("as")), None)
    token = _development_token(person) if person else request.form.get("token", "").strip()
    try:
        claims = rooms().tokens.read(token)
    except NotAuthenticated as error:
        rooms().rates.failed_signin(peer())
        return _form(401, str(error) if token else "Paste a token first.")
    if claims.purpose is None or not claims.roles:
        return _form(403, "This token gives no role or purpose of use that this service knows.")
    response = make_response(redirect("/", 303))
    _set(response, SESSION, token, max(0, claims.expires - int(time.time())))
    return response


@blueprint.post("/signout")
def sign_out() -> Response:
    """End the session in this browser."""
    receive_form()
    check_form()
    response = make_response(redirect("/signin", 303))
    response.delete_cookie(SESSION)
    return response


def page(view: View, *first: Callable[[], None]) -> View:
    """Let a page be seen only by somebody signed in; anybody else is sent to sign in.

    What comes ``first`` is done before a place to work is taken.
    """

    @wraps(view)
    def signed_in(**ids: Any) -> Any:
        try:
            claims = rooms().tokens.read(request.cookies.get(SESSION, ""))
        except NotAuthenticated:
            rooms().rates.peer(peer())
            response = make_response(redirect("/signin", 303))
            response.delete_cookie(SESSION)
            return response
        rooms().rates.caller(claims.issuer, claims.subject)
        g.caller = claims.caller(request_id())
        g.viewer = _viewer(g.caller)
        for step in first:
            step()
        with rooms().places.taken():
            return view(**ids)

    signed_in.counts_calls = True  # type: ignore[attr-defined]
    return signed_in


def form(view: View) -> View:
    """Let a form of ours be sent only by somebody signed in, and from our own page."""
    return page(view, receive_callers_form, check_form)


def viewer_or_none() -> Viewer | None:
    """Return who is signed in on this request, if anybody."""
    found: Viewer | None = g.get("viewer")
    return found


def viewer() -> Viewer:
    """Return who is signed in; only inside :func:`page`."""
    found: Viewer = g.viewer
    return found


def may(caller: Caller, allowed: Any) -> bool:
    """Return whether the caller has one of these pairs of role and purpose."""
    try:
        caller.actor(allowed)
    except NotAllowed:
        return False
    return True


def form_token() -> str:
    """Return the hidden field that shows a form to come from our own page; the response must set its cookie."""
    return _mac(g.setdefault(FORM, request.cookies.get(FORM) or secrets.token_urlsafe(18)))


def keep_form_cookie(response: Response) -> Response:
    """Set the cookie that :func:`form_token` belongs to, when this response carries a form."""
    made = g.get(FORM)
    if made is not None and made != request.cookies.get(FORM):
        _set(response, FORM, made, DEV_LIFETIME)
    return response


def check_form() -> None:
    """Raise :class:`NotAllowed` unless the form was sent from our own page (OWASP signed double-submit cookie)."""
    cookie, field = request.cookies.get(FORM, ""), request.form.get("form", "")
    elsewhere = request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin"
    if elsewhere or not cookie or not hmac.compare_digest(_mac(cookie).encode(), field.encode()):
        raise NotAllowed(problems.FORM_NOT_OURS.slug, "open the page again and send its form")


def _form(status: int, problem: str | None = None) -> Response:
    people = DEV_PEOPLE if rooms().settings.env == "development" else ()
    return make_response(render_template("signin.html", people=people, problem=problem), status)


def _development_token(person: DevPerson) -> str:
    return DevIssuer(rooms().settings, rooms().service.vault).issue(person.actor, [person.role], person.purpose)


def _viewer(caller: Caller) -> Viewer:
    home = "Worklist" if may(caller, READERS["worklist"]) else "Open a case"
    return Viewer(caller.id, ", ".join(sorted(caller.roles)), caller.purpose or "none", home)


def _mac(value: str) -> str:
    return hmac.digest(rooms().form_secret, value.encode(), "sha256").hex()


def _set(response: Response, name: str, value: str, max_age: int) -> None:
    secure = rooms().settings.env != "development"
    response.set_cookie(name, value, max_age=max_age, httponly=True, samesite="Strict", secure=secure, path="/")
