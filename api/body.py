"""Taking a request's body: its framing, its media type, its size, and its JSON read strictly.

The web server gives out a body that broke off as if it had ended, so only a body of stated length is taken, and it must
have that length: nothing is decided on half of what somebody sent.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from flask import g, request
from werkzeug.exceptions import BadRequest, LengthRequired, RequestEntityTooLarge, UnsupportedMediaType

from api.admission import Busy
from api.request_scope import rooms
from api.slow_bodies import Bodies
from application.strict_json import parse_object

MAX_BODY_BYTES = 1024 * 1024
"""Largest body; more is answered 413."""
MAX_FORM_BYTES = 16 * 1024
"""Largest form of a page; a token is at most a quarter of it."""
MAX_DEPTH = 20
"""Deepest nesting of objects and lists; the deepest schema has five."""
MAX_DISCARDED = 8 * MAX_BODY_BYTES
"""So much of a refused body is read and thrown away, so that a sender who writes first gets to read the answer."""
_PIECE = 64 * 1024


def check_framing() -> None:
    """Refuse a request whose host is not said once (RFC 9112, 3.2). Raises ``BadRequest``.

    The web server joins several ``Host`` headers with commas, and lets none pass.
    """
    host = request.environ.get("HTTP_HOST", "")
    if "," in host or (not host and request.environ["SERVER_PROTOCOL"] != "HTTP/1"):
        raise BadRequest


def check_media_type() -> None:
    """Raise ``UnsupportedMediaType`` unless the body is JSON, uncompressed."""
    if request.mimetype != "application/json" or request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaType


def receive() -> None:
    """Read the whole body of a caller, once, and keep it for this request.

    Raises ``LengthRequired`` (411), ``RequestEntityTooLarge`` (413), ``BadRequest`` when it broke off, ``Busy``.
    """
    _receive(rooms().bodies, MAX_BODY_BYTES)


def receive_callers_form() -> None:
    """Read a form of somebody signed in: a small one, in the places of bodies. Raises what :func:`receive` does."""
    _receive(rooms().bodies, MAX_FORM_BYTES)


def receive_form() -> None:
    """Read a form that anybody may send: a small one, in places of its own. Raises what :func:`receive` does."""
    _receive(rooms().signins, MAX_FORM_BYTES)


def _receive(bodies: Bodies, most: int) -> None:
    if "HTTP_TRANSFER_ENCODING" in request.environ:
        raise LengthRequired
    length = request.content_length or 0
    if length > most:
        raise RequestEntityTooLarge
    with bodies.reading(int(request.environ["SERVER_PORT"]), request.environ["REMOTE_ADDR"]):
        g.body = request.get_data()
    if len(g.body) != length:
        raise BadRequest


def discard() -> None:
    """Read what is left of a refused request's body and throw it away, within bounds; what is larger is left."""
    if "HTTP_EXPECT" in request.environ:
        # Whoever asks before sending has not sent, and reading would ask for it.
        return
    chunked, length = "HTTP_TRANSFER_ENCODING" in request.environ, request.content_length or 0
    if "body" in g or not (chunked or 0 < length <= MAX_DISCARDED):
        return
    stream, left = request.environ["wsgi.input"], MAX_DISCARDED if chunked else length
    with suppress(Busy), rooms().discarded.reading(int(request.environ["SERVER_PORT"]), request.environ["REMOTE_ADDR"]):
        while left > 0 and (piece := stream.read(min(_PIECE, left))):
            left -= len(piece)


def read_body() -> dict[str, Any]:
    """Return the JSON object that was received.

    Raises :class:`InvalidInput` (``malformed-json`` or ``invalid-input``).
    """
    return parse_object(g.body, MAX_DEPTH)
