"""Logs that cannot carry personal data: JSON lines in which only listed fields, with harmless values, appear.

An exception shows as its class and the place in the code, never as its text. The standard library's loggers (the Kafka
client, the web server) go the same way, and so do warnings: name, level and place are kept, the message is not.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO
from uuid import UUID

import structlog

from domain.instants import instant

FIELDS = frozenset(
    {
        *("timestamp", "level", "event", "logger", "part", "process", "pid", "name", "version", "schema"),
        *("error", "where", "code", "attempt", "retry_in", "signal", "state"),
        *("request_id", "correlation_id", "causation_id", "message_id", "publisher_id", "certificate_id"),
        *("event_id", "event_type", "operation", "stream_id", "position", "first", "last", "expected", "found", "view"),
        *("topic", "partition", "offset", "method", "route", "status", "port", "duration_ms", "count", "size", "lag"),
    }
)
"""Every field that may stand in a log line."""

WITHHELD = "(withheld)"
_EVENT = re.compile(r"[a-z0-9][a-z0-9 _.,:/-]{0,99}")
_VALUE = re.compile(r"[A-Za-z0-9_.:/{}<>+-]{0,128}")
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(level: str = "info", stream: TextIO | None = None) -> None:
    """Send all logging of this process to a stream (standard error by default) in the safe form.

    What would be printed as a traceback or a warning, wherever it was raised, is logged in the same form.
    """
    target = stream or sys.stderr
    threshold = _LEVELS.get(level, logging.INFO)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, line],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_ForeignHandler(target)]
    # Others' informative messages say nothing without their text.
    root.setLevel(max(threshold, logging.WARNING))
    # What the Kafka client warns about at every attempt, our own lines say once, with a reason.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda args: _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)
    # What a destructor raises cannot end anything, but Python prints it, with its text and the object's.
    sys.unraisablehook = lambda args: _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)
    logging.captureWarnings(True)


def location(error: BaseException) -> str:
    """Return where an exception was raised, as ``package/module.py:line``."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "unknown"
    return f"{_short(frames[-1].filename)}:{frames[-1].lineno}"


def line(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> str:
    """Render a log call: the last processor."""
    error = fields.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        fields.setdefault("error", error)
    return _render(fields)


class _ForeignHandler(logging.Handler):
    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write who logged and where, and the class of the exception if there is one."""
        fields: dict[str, Any] = {"event": "foreign log", "level": record.levelname.lower(), "logger": record.name}
        fields["where"] = f"{_short(record.pathname)}:{record.lineno}"
        if record.exc_info and record.exc_info[1]:
            fields["error"] = record.exc_info[1]
        self._stream.write(_render(fields) + "\n")
        self._stream.flush()


def _render(fields: Mapping[str, Any]) -> str:
    kept: dict[str, Any] = {"timestamp": instant(datetime.now(UTC))}
    for name, value in fields.items():
        if isinstance(value, BaseException):
            kept[name if name in FIELDS else "error"] = type(value).__name__
            kept.setdefault("where", location(value))
        elif name in FIELDS:
            kept[name] = _harmless(name, value)
    return json.dumps(kept)


def _harmless(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, UUID):
        return str(value)
    pattern = _EVENT if name == "event" else _VALUE
    return value if isinstance(value, str) and pattern.fullmatch(value) else WITHHELD


def _short(path: str) -> str:
    return "/".join(Path(path).parts[-2:])


def _log_uncaught(kind: type[BaseException], error: BaseException | None, _trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    structlog.get_logger().critical("uncaught exception", error=error or kind())
