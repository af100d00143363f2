"""What a backup holds, and that it is whole: ``MANIFEST.json`` names every file with its size and hash.

::

    events.dump       the events database, in PostgreSQL's custom format
    keys/             one generation of the key change log: a dump of all wrapped keys, and the changes since
    MANIFEST.json     written last

Nothing of the keyring is in it, and nothing in it opens without the keyring. Views are built anew from events; the
topic is published anew from them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from domain.errors import RestoreRefused
from vault.change_file import ChangeFolder, Mark

FORMAT = 1
MANIFEST = "MANIFEST.json"
EVENTS = "events.dump"
KEYS = "keys"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Content:
    """What a backup is of: which log up to which position, which installation's keys, when (ISO 8601, UTC)."""

    created_at: str
    log_id: UUID
    head: int
    installation_id: UUID
    generation: int


@dataclass(frozen=True)
class File:
    """One file of a backup: its path in it, its size in bytes, its SHA-256 in hex."""

    path: str
    size: int
    sha256: str


def write_manifest(folder: Path, content: Content) -> list[File]:
    """Make the files of a backup durable and write its manifest, after which it is whole."""
    files = [_file(folder, path) for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MANIFEST]
    described = {key: str(value) if isinstance(value, UUID) else value for key, value in asdict(content).items()}
    manifest = {
        "format": FORMAT,
        **described,
        "files": [asdict(file) for file in files],
        "not_in_it": "the keyring, without which none of this opens: see docs/runbooks/restore.md",
    }
    draft = folder / f".{MANIFEST}"
    draft.write_text(json.dumps({**manifest, "check": _check(manifest)}, indent=1) + "\n")
    _close(draft)
    draft.rename(folder / MANIFEST)
    for inside in (folder / KEYS, folder):
        _sync(inside)
    return files


def give_name(part: Path, folder: Path) -> None:
    """Give a whole backup its name, durably."""
    part.rename(folder)
    _sync(folder.parent)


def read_manifest(folder: Path, moved: Callable[[int, int], None] = lambda done, all_: None) -> Content:
    """Check every file of a backup against its manifest; ``moved`` is told how many bytes of how many were read.

    Raises ``RestoreRefused`` when it is not whole, or has a file that the manifest does not name.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        if manifest.pop("check") != _check(manifest):
            raise RestoreRefused(f"{MANIFEST} is damaged")
        if manifest["format"] != FORMAT:
            raise RestoreRefused("the backup has an unknown form")
        files = [File(**file) for file in manifest["files"]]
        content = _content(manifest)
    except FileNotFoundError:
        raise RestoreRefused(f"there is no {MANIFEST}: this is no backup, or one that was not finished") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise RestoreRefused(f"{MANIFEST} cannot be read") from None
    _check_names(folder, {file.path for file in files}, content)
    done, all_ = 0, sum(file.size for file in files)
    for file in files:
        if not _is_inside(folder, file.path) or _hashed(folder, file.path) != file:
            raise RestoreRefused(f"{file.path} is not what the manifest says")
        done += file.size
        moved(done, all_)
    return content


def copy_generation(files: ChangeFolder, generation: int, folder: Path) -> Mark:
    """Copy one generation of the key change log into a backup, to the last frame there is now; return its end."""
    with files.alone():
        end = files.end(generation)
        files.copy(end, folder)
    return end


def _check_names(folder: Path, named: set[str], content: Content) -> None:
    """Refuse what would be restored without having been checked: the newest generation there is counts."""
    for name in (EVENTS, f"{KEYS}/keys-{content.generation:08d}.log"):
        if name not in named:
            raise RestoreRefused(f"{MANIFEST} does not name {name}: this is no whole backup")
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}
    if there - named - {MANIFEST}:
        raise RestoreRefused(f"the backup has a file that {MANIFEST} does not name: somebody put it there")


def _check(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _content(manifest: dict[str, Any]) -> Content:
    return Content(
        str(manifest["created_at"]),
        UUID(manifest["log_id"]),
        int(manifest["head"]),
        UUID(manifest["installation_id"]),
        int(manifest["generation"]),
    )


def _is_inside(folder: Path, path: str) -> bool:
    whole = (folder / path).resolve()
    return whole.is_relative_to(folder.resolve()) and whole.is_file()


def _file(folder: Path, path: Path) -> File:
    _close(path)
    return _hashed(folder, str(path.relative_to(folder)))


def _hashed(folder: Path, path: str) -> File:
    digest, size = hashlib.sha256(), 0
    with (folder / path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return File(path, size, digest.hexdigest())


def _close(path: Path) -> None:
    """Make a file durable and its owner's alone, wherever the backup is copied to: its folder's mode may be lost."""
    path.chmod(0o600)
    _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
