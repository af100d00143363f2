"""Every byte that an attacker finds below a folder: plain files, and what is packed inside Kafka's segments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kafka.record import MemoryRecords

_PAGE = bytes(4096)
_KINDS = (
    ("/kafka/", "other files of Kafka"),
    ("/pg_wal/", "write-ahead log"),
    ("/data/base/", "pages"),
    ("/data/global/", "pages"),
    ("/data/", "other files of PostgreSQL"),
    ("/keyring/", "keyring"),
    ("/logs/", "logs"),
)


@dataclass(frozen=True)
class Found:
    """Some bytes of one place: ``kind`` says what sort of place it is."""

    kind: str
    path: Path
    content: bytes


def everything(home: Path, beside: dict[str, Path]) -> Iterator[Found]:
    """Return every file below a home, whatever it is, and every file of the copies kept ``beside`` it, by kind.

    Kafka's segments come twice: as they are, and each record as a reader sees it.
    """
    for path, content in _files(home):
        place = f"/{path.relative_to(home)}"
        kind = next((kind for part, kind in _KINDS if part in place), "other files")
        yield Found(kind, path, content)
        if path.suffix == ".log" and "/kafka/" in place:
            yield from (Found("records of Kafka", path, record) for record in records_in(content))
    for kind, folder in beside.items():
        yield from (Found(kind, path, content) for path, content in _files(folder))


def records_in(segment: bytes) -> Iterator[bytes]:
    """Return key, value and headers of every record of a segment, unpacked, as one run of bytes each."""
    batches = MemoryRecords(segment)
    while batches.has_next():
        for record in batches.next_batch():
            parts = [record.key, record.value, *(part for name, value in record.headers for part in (name, value))]
            yield b"\0".join(part.encode() if isinstance(part, str) else part or b"" for part in parts)


def _files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for path in sorted(folder.rglob("*")):
        try:
            if path.is_file() and not path.is_symlink():
                # Segments are made in advance, full of zeros, in which nothing is to be found.
                yield path, path.read_bytes().replace(_PAGE, b"")
        except FileNotFoundError:
            continue
