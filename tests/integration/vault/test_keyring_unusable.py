"""A keyring that is missing, another installation's, of another version, full or read-only, met by real processes.

Each of ``api``, ``worker`` and ``doctor`` says what it is in one line, and nothing is written: not to the keyring, not
to the keys cluster.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from mount_namespace import NAMESPACE, possible
from vault_keys import Keys

from ops.ports import free_port
from ops.processes import end_child
from tests.keyrings import of_files
from vault.vault import Vault

FULL = (
    'mount -t tmpfs -o size=64k,mode=700 none "$0" && { cp -p "$1"/*.key "$0" || true; }; '
    'cat /dev/zero >"$0/ballast" || true'
)
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"'
COMMANDS = ("api", "worker", "doctor")


@dataclass(frozen=True)
class Unusable:
    """One way in which a keyring cannot be used.

    ``spoil`` does it to the folder; ``mounting`` does it in the mount namespace of the process. ``said`` by api and
    worker, by doctor ``found``; ``waits``: an outage, for whose end a worker waits.
    """

    said: str
    found: str
    waits: bool
    spoil: Callable[[Keys, Path], None] = lambda _keys, _aside: None
    mounting: str = ""


def move_away(keys: Keys, aside: Path) -> None:
    keys.folder.rename(aside / "unmounted")


def exchange(keys: Keys, aside: Path) -> None:
    """Put a keyring of another installation in the place."""
    [root] = keys.folder.glob("root-*.key")
    move_away(keys, aside)
    keys.folder.mkdir(mode=0o700)
    said_otherwise(aside / "unmounted" / root.name, keys.folder / root.name, installation=str(UUID(int=7)))


def make_newer(keys: Keys, _aside: Path) -> None:
    [root] = keys.folder.glob("root-*.key")
    said_otherwise(root, root, format=2)


def said_otherwise(read: Path, written: Path, **changes: object) -> None:
    """Write a key file that says something else, with a check that fits it."""
    content = {**json.loads(read.read_text()), **changes}
    del content["check"]
    content["check"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    written.write_text(json.dumps(content))


KEYRINGS = {
    "missing": Unusable("the keyring's folder cannot be read", "missing: no folder ", True, move_away),
    "another installation's": Unusable(
        "the keyring belongs to another installation", "mismatch: the keyring belongs", False, exchange
    ),
    "of another version": Unusable(
        "a file of the keyring has an unknown version", "mismatch: a file of the keyring has", False, make_newer
    ),
    "full": Unusable(
        "the keyring's volume is full", "takes no writes: the keyring's volume is full", True, mounting=FULL
    ),
    "read-only": Unusable(
        "the keyring is read-only", "takes no writes: the keyring is read-only", True, mounting=READ_ONLY
    ),
}


class Process:
    """A command of ours, in a mount namespace of its own if something is to be mounted, with its output in a file."""

    def __init__(self, command: str, keys: Keys, aside: Path, mounting: str) -> None:
        self.log = aside / f"{command}.log"
        self._folder = keys.folder
        run = [sys.executable, "-P", "-m", "cli.main", command]
        if mounting:
            program = f'set -e; {mounting}; shift; exec "$@"'
            run = [*NAMESPACE, "sh", "-c", program, str(keys.folder), str(aside / "copy"), *run]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(run, env=environment(keys, aside), stdout=log, stderr=log)

    def lines(self, wanted: str, seconds: float = 90) -> list[str]:
        """Wait for what is wanted, or the process's end, and return its lines."""
        deadline = time.monotonic() + seconds
        while wanted not in self.log.read_text() and self.process.poll() is None:
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        return self.log.read_text().splitlines()

    def sees(self) -> Mapping[str, bytes]:
        """Return the files of the keyring as the process sees them; only while it runs."""
        return files(Path(f"/proc/{self.process.pid}/root") / self._folder.relative_to("/"))

    def end(self) -> None:
        end_child(self.process)


def environment(keys: Keys, aside: Path) -> dict[str, str]:
    given = {
        "HOME": str(aside / "home"),
        "KEYS_DSN": keys.dsn,
        "EVENTS_DSN": keys.dsn,
        "VIEWS_DSN": keys.dsn,
        "KEYRING": f"file:{keys.folder}",
        "KAFKA": "127.0.0.1:1",
        "PORT": str(free_port()),
    }
    return {**os.environ, **{f"CASEKEEPER_{name}": value for name, value in given.items()}}


def files(folder: Path) -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in folder.glob("*")} if folder.exists() else {}
    # The file that takes all the room is ours.
    return {name: content for name, content in found.items() if name not in ("ballast", ".lock")}


def rows(keys: Keys) -> list[object]:
    return [
        keys.sql(f"SELECT * FROM {table} ORDER BY 1") for table in ("key_root", "key_node", "key_scope", "destruction")
    ]


@of_files
@pytest.mark.parametrize("name", KEYRINGS)
def test_every_process_says_in_one_line_what_is_wrong_and_writes_nothing(
    keys: Keys, vault: Vault, tmp_path: Path, name: str
) -> None:
    unusable = KEYRINGS[name]
    if unusable.mounting and not possible():
        pytest.skip("no file system can be mounted here")
    vault.secret("relay-mac")
    aside = tmp_path / "aside"
    aside.mkdir()
    shutil.copytree(keys.folder, aside / "copy")
    unusable.spoil(keys, aside)
    before, stored = files(keys.folder), rows(keys)

    running = {command: Process(command, keys, aside, unusable.mounting) for command in COMMANDS}
    try:
        api = running["api"].lines("Error: ")
        worker = running["worker"].lines("Waiting: " if unusable.waits else "Error: ")
        seen = running["worker"].sees() if unusable.waits else None
        doctor = running["doctor"].lines("CASEKEEPER_HOME=")
        ended = [running["api"].process.wait(60), running["doctor"].process.wait(60)]
    finally:
        for process in running.values():
            process.end()

    assert f"Error: {unusable.said}" in api
    assert f"{'Waiting' if unusable.waits else 'Error'}: {unusable.said}" in worker
    [told] = [line for line in doctor if line.split()[1:2] == ["keyring"]]
    assert told.startswith("WRONG  keyring      " + unusable.found)
    assert ended == [1, 1]
    assert files(keys.folder) == before
    assert rows(keys) == stored
    if seen is not None and name != "missing":
        assert seen == files(aside / "copy")


@of_files
@pytest.mark.parametrize("name", ["full", "read-only"])
def test_a_first_start_makes_no_keys_that_it_cannot_keep(keys: Keys, tmp_path: Path, name: str) -> None:
    if not possible():
        pytest.skip("no file system can be mounted here")
    aside = tmp_path / "aside"
    (aside / "copy").mkdir(parents=True)
    keys.folder.mkdir(mode=0o700, exist_ok=True)

    worker = Process("worker", keys, aside, KEYRINGS[name].mounting)
    try:
        lines = worker.lines("Waiting: ")
        seen = worker.sees()
    finally:
        worker.end()

    assert f"Waiting: {KEYRINGS[name].said}" in lines
    assert (seen, files(keys.folder)) == ({}, {})
    assert keys.sql("SELECT count(*) FROM key_node") == [(0,)]
    assert keys.sql("SELECT count(*) FROM key_root WHERE key_id IS NOT NULL") == [(0,)]
