"""Logs that cannot carry personal data, whoever writes them and however."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import structlog

from application.logging import configure, location

CANARY = "Zanzibarova"
STREAM = UUID("0b9f8f0e-5c0d-4b8e-9d53-0f3c0a3a1c11")


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook, sys.unraisablehook
    stream = io.StringIO()
    configure("info", stream)
    structlog.contextvars.clear_contextvars()
    yield stream
    root.handlers, level, sys.excepthook, threading.excepthook, sys.unraisablehook = before
    logging.captureWarnings(False)
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_listed_fields_are_written_as_one_json_object_a_line(written: io.StringIO) -> None:
    structlog.get_logger().info("relay agrees", position=7, stream_id=STREAM, part="relay")

    [line] = lines(written)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "relay agrees",
        "level": "info",
        "position": 7,
        "stream_id": str(STREAM),
        "part": "relay",
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"given_name": CANARY},
        {"email": f"{CANARY}@example.org"},
        {"part": f"{CANARY} Maria"},
        {"code": {"name": CANARY}},
        {"code": [CANARY]},
        {"code": CANARY.encode()},
        {"stream_id": f"{CANARY}@example.org"},
    ],
)
def test_what_is_not_listed_or_not_harmless_is_left_out(written: io.StringIO, fields: dict[str, Any]) -> None:
    structlog.get_logger().warning("something", **fields)

    assert CANARY not in written.getvalue()
    assert lines(written)[0]["event"] == "something"


def test_an_event_that_is_no_plain_phrase_is_withheld(written: io.StringIO) -> None:
    structlog.get_logger().error(f"cannot find {CANARY}")

    assert lines(written)[0]["event"] == "(withheld)"


def fail() -> None:
    raise ValueError(f"bad name {CANARY}")


def test_an_exception_is_its_class_and_place(written: io.StringIO) -> None:
    log = structlog.get_logger()
    try:
        fail()
    except ValueError as error:
        log.error("failed", error=error)
        log.exception("failed")
        log.error("failed", exc_info=True)

    found = lines(written)
    assert {(line["error"], line["where"].rpartition(":")[0]) for line in found} == {
        ("ValueError", "application/test_logging.py")
    }
    assert CANARY not in written.getvalue()


def test_the_standard_librarys_loggers_lose_their_text(written: io.StringIO) -> None:
    logging.getLogger("kafka.producer").critical("Sending (key=%r value=%r)", CANARY, CANARY)
    logging.getLogger("werkzeug").info("GET /%s", CANARY)
    try:
        fail()
    except ValueError:
        logging.getLogger("granian").exception(CANARY)

    first, second = lines(written)
    assert (first["logger"], first["level"], first["event"]) == ("kafka.producer", "critical", "foreign log")
    assert first["where"].startswith("application/test_logging.py:")
    assert (second["logger"], second["error"]) == ("granian", "ValueError")
    assert CANARY not in written.getvalue()


def test_an_uncaught_exception_shows_no_text(written: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    try:
        fail()
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)

    assert [(line["event"], line["error"]) for line in lines(written)] == [("uncaught exception", "ValueError")] * 2
    assert CANARY not in written.getvalue() + capsys.readouterr().err


def test_below_the_level_nothing_is_written(written: io.StringIO) -> None:
    structlog.get_logger().debug("something")

    assert written.getvalue() == ""


def test_an_exception_never_raised_has_no_place() -> None:
    assert location(ValueError("x")) == "unknown"
