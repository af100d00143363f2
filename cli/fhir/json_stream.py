"""JSON read piece by piece: values of any number, arrays of any length, in memory bounded by one element.

The elements themselves are decoded by the standard library (``json.JSONDecoder.raw_decode``); this module only keeps a
window of the text filled and walks the outermost brackets. It takes one value, several one after another (as NDJSON has
them), with or without line ends between.
"""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

CHUNK = 1 << 20
"""Bytes read at a time."""

LARGEST_VALUE = 64 << 20
"""Most characters one element may have; a longer one is taken for a string that never ends."""

_SPACE = " \t\r\n"
_NEAR_END = 16
_decode = json.JSONDecoder(strict=False).raw_decode


class MalformedJson(Exception):
    """The text is no JSON from here on, or just in this line when ``line_only``, and the stream is past it then.

    ``reason`` is a code for the report; no text of the file is kept.
    """

    def __init__(self, reason: str, *, line_only: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line_only = line_only


class JsonStream:
    """A window on the text of one file, gzip-compressed or not, with a position in it."""

    def __init__(self, path: Path, on_read: Callable[[int], None] | None = None) -> None:
        """Open a file. ``on_read`` is told how many bytes of the file (as it lies on disk) have been read so far."""
        self._raw = path.open("rb")
        magic = self._raw.peek(2)[:2]
        self._source: IO[bytes] | gzip.GzipFile = self._raw
        if magic == b"\x1f\x8b":
            self._source = gzip.GzipFile(fileobj=self._raw)
        self._utf8 = codecs.getincrementaldecoder("utf-8-sig")("strict")
        self._on_read = on_read or (lambda _: None)
        self._text = ""
        self._at = 0
        self._ended = False

    def close(self) -> None:
        """Close the file."""
        self._raw.close()

    def peek(self) -> str:
        """Return the next character that is no white space, or ``""`` at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACE:
                    return self._text[self._at]
                self._at += 1
            if not self._fill(CHUNK):
                return ""

    def take(self, *expected: str) -> str:
        """Step over one of these characters and return it. Raises :class:`MalformedJson` on any other."""
        found = self.peek()
        if not found or found not in expected:
            raise MalformedJson("malformed-json")
        self._at += 1
        return found

    def value(self) -> Any:
        """Decode the next value whole. Raises :class:`MalformedJson`."""
        self.peek()
        step = CHUNK
        while True:
            try:
                value, end = _decode(self._text, self._at)
            except json.JSONDecodeError as error:
                self._need_more(error, step)
            except RecursionError:
                raise MalformedJson("nested-too-deep") from None
            except ValueError:
                raise MalformedJson("malformed-json") from None
            else:
                # A number at the end of the window may go on beyond it.
                if end < len(self._text) or not self._fill(CHUNK):
                    self._at = end
                    return value
            step *= 2

    def line(self) -> Any:
        """Decode the value that fills the present line, or return ``None`` when it goes on after it (or is very long).

        Raises :class:`MalformedJson` when the line is broken and the next one starts anew, as in NDJSON.
        """
        end = self._text.find("\n", self._at)
        if end < 0:
            return None
        try:
            value, stop = _decode(self._text[self._at : end])
        except (ValueError, RecursionError):
            if self._text[end + 1 : end + 2] != "{":
                return None
            self._at = end + 1
            raise MalformedJson("malformed-json", line_only=True) from None
        self._at += stop
        return value

    def skip_line(self) -> bool:
        """Go to the start of the next line; return whether an object starts exactly there (or the file ends)."""
        while True:
            end = self._text.find("\n", self._at)
            if end >= 0:
                self._at = end + 1
                if self._at < len(self._text) or self._fill(CHUNK):
                    return self._text[self._at] == "{"
                return True
            self._at = len(self._text)
            if not self._fill(CHUNK):
                return True

    def _need_more(self, error: json.JSONDecodeError, step: int) -> None:
        cut = error.msg.startswith("Unterminated string") or error.pos >= len(self._text) - _NEAR_END
        if not cut:
            raise MalformedJson("malformed-json") from None
        if len(self._text) - self._at > LARGEST_VALUE:
            raise MalformedJson("entry-too-large") from None
        if not self._fill(step):
            raise MalformedJson("malformed-json" if self._text[self._at :].strip() else "cut-off") from None

    def _fill(self, size: int) -> bool:
        """Drop what was used and read on; return whether there was anything more."""
        while not self._ended:
            try:
                block = self._source.read(size)
                self._ended = not block
                text = self._utf8.decode(block, final=self._ended)
            except UnicodeDecodeError:
                raise MalformedJson("not-utf-8") from None
            except (EOFError, gzip.BadGzipFile, zlib.error):
                raise MalformedJson("broken-gzip") from None
            self._on_read(self._raw.tell())
            if text:
                self._text = self._text[self._at :] + text
                self._at = 0
                return True
        return False


def elements(stream: JsonStream) -> Iterator[None]:
    """Walk an array: the caller reads one value at each step. Raises :class:`MalformedJson`."""
    stream.take("[")
    if stream.peek() == "]":
        stream.take("]")
        return
    while True:
        yield
        if stream.take(",", "]") == "]":
            return


def members(stream: JsonStream) -> Iterator[str]:
    """Walk an object: the caller reads one value for each name it is given. Raises :class:`MalformedJson`."""
    stream.take("{")
    if stream.peek() == "}":
        stream.take("}")
        return
    while True:
        if stream.peek() != '"':
            raise MalformedJson("malformed-json")
        name = stream.value()
        stream.take(":")
        yield name
        if stream.take(",", "}") == "}":
            return
