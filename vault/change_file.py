"""The key change log as files: one generation after the other, each a dump of all key rows and the changes since.

A generation is ``keys-<number>.log``: frames of a length (4 bytes, big-endian), a JSON object, and the SHA-256 of the
chain so far, length and object. So a frame is whole or it is no frame, and none can be taken out, moved or put in
unnoticed. A frame is an atomic step from one committed state of the keys cluster to the next, and one append. The last
one may be torn by a kill or a crash: it counts for nothing, and the next append cuts it off and keeps what it cut in
``keys-<number>.cut-<hash>``. What is not whole and cannot be a torn append is damage, and refused.

Nothing here opens without the keyring: the rows hold wrapped keys.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from domain.errors import KeyringMismatch, KeysUnavailable
from vault.durable import sync_folder
from vault.file_lock import lock_file

FORMAT = 1
LOCK_SECONDS = 5.0
START = hashlib.sha256(b"casekeeper/key-changes/1").digest()
"""What the first frame of a generation is chained to."""

_GENERATION = re.compile(r"keys-(\d{8})\.log")
_LENGTH_BYTES = 4
_CHAIN_BYTES = 32
_COMING = ".new"
_CHUNK_BYTES = 1 << 20
_BLOCK_BYTES = 512
"""What a disk writes whole or not at all; a crash leaves zeros where it wrote nothing."""
_MAYBE_A_FRAME = re.compile(rb'(?=[\x00-\x1f].{3}\{")', re.DOTALL)
"""A length and the begin of an object: within an object's text no byte is below 0x20."""


@dataclass(frozen=True)
class Mark:
    """A place in the log: the generation's number, the bytes up to there, and the chained hash at that place."""

    generation: int
    length: int
    chain: bytes


@dataclass(frozen=True)
class Frame:
    """One whole frame and the place right behind it."""

    content: dict[str, Any]
    end: Mark


class ChangeFolder:
    """The folder of the log. Every method may raise ``KeysUnavailable`` when it cannot be read or written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other threads and processes from the log meanwhile; they wait 5 s and then say so."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.folder / ".lock", os.O_WRONLY | os.O_CREAT, 0o600)
        except OSError:
            raise _unwritable() from None
        try:
            lock_file(descriptor, LOCK_SECONDS, "another process holds the key change log: is one stopped?")
            yield
        finally:
            os.close(descriptor)

    def last_generation(self) -> int:
        """Return the number of the newest generation, 0 when there is none."""
        try:
            found = (_GENERATION.fullmatch(name) for name in os.listdir(self.folder))
        except FileNotFoundError:
            return 0
        except OSError:
            raise _unreadable() from None
        return max((int(match[1]) for match in found if match), default=0)

    def begin(self, generation: int) -> Coming:
        """Open a new generation under a name that does not count yet."""
        return Coming(self, generation)

    def settle(self, mark: Mark) -> None:
        """Give a new generation its name if that was not done yet: the cluster says that it counts."""
        if not self._path(mark.generation).exists() and self._coming(mark.generation).exists():
            self._named(mark.generation)

    def frames(self, generation: int, after: Mark | None = None) -> Iterator[Frame]:
        """Yield the whole frames of a generation, or those behind a place in it; a torn append at the end counts not.

        Raises ``KeyringMismatch`` when the log does not reach the place, is another one there, is damaged there or
        further on, or has what is no frame of this program's although its chain fits: the chain has no key, so somebody
        wrote it.
        """
        try:
            with self._path(generation).open("rb") as file:
                place = after or Mark(generation, 0, START)
                if after is not None:
                    file.seek(max(0, after.length - _CHAIN_BYTES))
                    if file.read(_CHAIN_BYTES) != after.chain:
                        raise KeyringMismatch("the key change log has lost its end, or is of other keys")
                size = os.fstat(file.fileno()).st_size
                while (frame := _next(file.read, place, size)) is not None:
                    yield frame
                    place = frame.end
                file.seek(place.length)
                if _is_damage(place, file.read(size - place.length)):
                    raise KeyringMismatch(f"the key change log is damaged: {file.name}, from byte {place.length} on")
        except FileNotFoundError:
            raise KeysUnavailable("the key change log's folder lacks its file: is its volume mounted?") from None
        except OSError:
            raise _unreadable() from None

    def installation(self, generation: int) -> UUID:
        """Return whose keys a generation holds. Raises ``KeyringMismatch`` for an unknown version or a damaged one."""
        header = next((frame.content for frame in self.frames(generation)), {})
        if header.get("format") != FORMAT:
            raise KeyringMismatch("the key change log is damaged, or has an unknown version")
        try:
            return UUID(header["installation"])
        except (KeyError, ValueError, AttributeError):
            raise damaged("its header") from None

    def end(self, generation: int) -> Mark:
        """Return the end of the last whole frame of a generation."""
        end = Mark(generation, 0, START)
        for frame in self.frames(generation):
            end = frame.end
        return end

    def ends_at(self, mark: Mark) -> bool:
        """Return whether a place is the end of the newest generation. Raises like :meth:`frames`."""
        if self.last_generation() != mark.generation:
            return False
        return not any(True for _ in self.frames(mark.generation, mark))

    def copy(self, end: Mark, folder: Path) -> None:
        """Copy a generation up to a place in it into another folder; it is there whole, durably, or not at all."""
        target = ChangeFolder(folder)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            target._coming(end.generation).unlink(missing_ok=True)
            descriptor = os.open(target._coming(end.generation), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file, self._path(end.generation).open("rb") as source:
                left = end.length
                while left and (chunk := source.read(min(left, _CHUNK_BYTES))):
                    file.write(chunk)
                    left -= len(chunk)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            raise _unwritable() from None
        target._named(end.generation)

    def append(self, place: Mark, content: dict[str, Any]) -> Mark:
        """Write a frame right behind a place, cutting off what stands there; durable when this returns.

        What is cut off is kept in a file beside it: after a restore nobody else may have it.
        """
        raw, end = _framed(place, [content])
        try:
            descriptor = os.open(self._path(place.generation), os.O_RDWR)
            try:
                behind = max(0, os.fstat(descriptor).st_size - place.length)
                self._keep(place, os.pread(descriptor, behind, place.length))
                os.ftruncate(descriptor, place.length)
                try:
                    _write(descriptor, raw, place.length)
                    os.fsync(descriptor)
                except OSError:
                    # After a failed sync nobody knows what is on the disk: it is written anew the next time.
                    with suppress(OSError):
                        os.ftruncate(descriptor, place.length)
                    raise
            finally:
                os.close(descriptor)
        except OSError:
            raise _unwritable() from None
        return end

    def forget_before(self, generation: int) -> None:
        """Remove the generations before this one."""
        try:
            for name in os.listdir(self.folder):
                match = _GENERATION.fullmatch(name)
                if match and int(match[1]) < generation:
                    (self.folder / name).unlink(missing_ok=True)
            sync_folder(self.folder)
        except OSError:
            raise _unwritable() from None

    def _keep(self, place: Mark, cut: bytes) -> None:
        if not cut:
            return
        name = f"keys-{place.generation:08d}.cut-{hashlib.sha256(cut).hexdigest()[:16]}"
        descriptor = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _write(descriptor, cut, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(self.folder)

    def _named(self, generation: int) -> None:
        try:
            self._coming(generation).rename(self._path(generation))
            sync_folder(self.folder)
        except OSError:
            raise _unwritable() from None

    def _path(self, generation: int) -> Path:
        return self.folder / f"keys-{generation:08d}.log"

    def _coming(self, generation: int) -> Path:
        return self._path(generation).with_suffix(_COMING)


class Coming:
    """A generation that is being written: it counts once the cluster names its mark, and then gets its name."""

    def __init__(self, folder: ChangeFolder, generation: int) -> None:
        self._folder = folder
        self._mark = Mark(generation, 0, START)
        try:
            folder._coming(generation).unlink(missing_ok=True)
            self._descriptor = os.open(folder._coming(generation), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError:
            raise _unwritable() from None

    def add(self, content: dict[str, Any]) -> None:
        """Write one frame."""
        raw, end = _framed(self._mark, [content])
        try:
            _write(self._descriptor, raw, self._mark.length)
        except OSError:
            raise _unwritable() from None
        self._mark = end

    def finish(self) -> Mark:
        """Make what was written durable and return its end."""
        try:
            os.fsync(self._descriptor)
            sync_folder(self._folder.folder)
        except OSError:
            raise _unwritable() from None
        return self._mark

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def damaged(what: str) -> KeyringMismatch:
    """Return the error for a part of the log that is not of the form this program writes."""
    return KeyringMismatch(f"the key change log is damaged: {what} has another form")


def _next(read: Any, place: Mark, file_size: int) -> Frame | None:
    head = read(_LENGTH_BYTES)
    size = int.from_bytes(head, "big")
    if size > file_size - place.length:
        # A torn frame may claim up to 4 GiB, which reading would set aside first.
        return None
    body, chain = read(size), read(_CHAIN_BYTES)
    if len(head) < _LENGTH_BYTES or len(body) < size or chain != _chained(place.chain, head, body):
        return None
    end = Mark(place.generation, place.length + _LENGTH_BYTES + size + _CHAIN_BYTES, chain)
    return Frame(_content(body), end)


def _is_damage(place: Mark, tail: bytes) -> bool:
    """Return whether what stands behind the last whole frame is damage, and not what a torn append leaves.

    An append is one frame and the last thing in the file. Torn, it ends early, or blocks of it are zeros.
    """
    size = int.from_bytes(tail[:_LENGTH_BYTES], "big")
    end = _LENGTH_BYTES + size + _CHAIN_BYTES
    if _has_a_frame(tail):
        return True
    if end > len(tail):
        return _is_whole_but_its_length(place, tail)
    if size and end < len(tail):
        return True
    return not _lacks_a_block(tail, place.length)


def _has_a_frame(tail: bytes) -> bool:
    """Return whether a whole frame stands in a tail, chained to what stands before it there."""
    for found in _MAYBE_A_FRAME.finditer(tail, _CHAIN_BYTES):
        start = found.start()
        head = tail[start : start + _LENGTH_BYTES]
        body_at = start + _LENGTH_BYTES
        end = body_at + int.from_bytes(head, "big")
        chain = tail[end : end + _CHAIN_BYTES]
        if len(chain) == _CHAIN_BYTES and chain == _chained(
            tail[start - _CHAIN_BYTES : start], head, tail[body_at:end]
        ):
            return True
    return False


def _is_whole_but_its_length(place: Mark, tail: bytes) -> bool:
    body = tail[_LENGTH_BYTES:-_CHAIN_BYTES]
    return tail[-_CHAIN_BYTES:] == _chained(place.chain, len(body).to_bytes(_LENGTH_BYTES, "big"), body)


def _lacks_a_block(tail: bytes, offset: int) -> bool:
    """Return whether what some block of the file has of a tail is all zeros; ``offset`` is where the tail begins."""
    starts = range(-(offset % _BLOCK_BYTES), len(tail), _BLOCK_BYTES)
    return any(not tail[max(start, 0) : start + _BLOCK_BYTES].strip(b"\0") for start in starts)


def _content(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise damaged("a frame") from None
    if not isinstance(content, dict):
        raise damaged("a frame")
    return content


def _framed(place: Mark, contents: list[dict[str, Any]]) -> tuple[bytes, Mark]:
    raw, chain = bytearray(), place.chain
    for content in contents:
        body = json.dumps(content, separators=(",", ":")).encode()
        head = len(body).to_bytes(_LENGTH_BYTES, "big")
        chain = _chained(chain, head, body)
        raw += head + body + chain
    return bytes(raw), Mark(place.generation, place.length + len(raw), chain)


def _chained(chain: bytes, head: bytes, body: bytes) -> bytes:
    return hashlib.sha256(chain + head + body).digest()


def _write(descriptor: int, content: bytes, offset: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _unreadable() -> KeysUnavailable:
    return KeysUnavailable("the key change log cannot be read")


def _unwritable() -> KeysUnavailable:
    return KeysUnavailable("the key change log cannot be written")
