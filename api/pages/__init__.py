"""The dashboard's pages, rendered on the server: no script, nothing from elsewhere.

Personal data is opened through the same recorded reading as over ``/v1``.
"""

from __future__ import annotations

from pathlib import Path

from flask import Flask, Response, make_response, render_template

from api.pages import case, certificate, docs, formats, session, worklist
from application.problems import Problem

STATIC = str(Path(__file__).parent / "static")
TEMPLATES = str(Path(__file__).parent / "templates")


def register(app: Flask) -> None:
    """Register the pages and what their templates use."""
    formats.register(app)
    for module in (session, worklist, case, certificate, docs):
        app.register_blueprint(module.blueprint)


def failure(problem: Problem) -> Response:
    """Return the page that says what went wrong: an outage as an outage, never as an erasure."""
    page = render_template("failure.html", problem=problem, viewer=session.viewer_or_none())
    return make_response(page, problem.type.status)
