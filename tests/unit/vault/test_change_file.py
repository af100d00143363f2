"""The file of the key change log when somebody wrote into it: refused in words of ours, whatever stands there."""

from __future__ import annotations

import hashlib
import json
import resource
from pathlib import Path
from uuid import UUID

import pytest

from domain.errors import KeyringMismatch
from vault.change_file import START, ChangeFolder
from vault.change_replay import replay

HEADER = {"format": 1, "installation": str(UUID(int=7)), "generation": 1, "next_place": 3}
DUMPED = {"dumped": True}


def written(folder: Path, *bodies: object, behind: bytes = b"") -> ChangeFolder:
    """Write frames by the documented form: length, body, SHA-256 of the chain so far, length and body."""
    raw, chain = b"", START
    for body in bodies:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = len(text).to_bytes(4, "big")
        chain = hashlib.sha256(chain + head + text).digest()
        raw += head + text + chain
    folder.mkdir(exist_ok=True)
    (folder / "keys-00000001.log").write_bytes(raw + behind)
    return ChangeFolder(folder)


def test_a_whole_log_is_read(tmp_path):
    assert replay(written(tmp_path, HEADER, DUMPED)).installation_id == UUID(int=7)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"no JSON",
        b"\xff\xfe",
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a": ' + b"9" * 9_000 + b"}",
        [],
        "text",
        None,
        {"relation": "pg_authid", "rows": [{"rolname": "x"}]},
        {"relation": "key_node", "rows": 5},
        {"relation": "key_node", "rows": [{}]},
        {"changes": 5},
        {"changes": [[1, 2]]},
        {"changes": [[1, "no_table", False, [{}]]]},
        {"changes": [["one", "key_node", False, []]]},
    ],
)
def test_a_frame_of_another_form_is_damage_although_its_chain_fits(tmp_path, frame):
    folder = written(tmp_path, HEADER, frame, DUMPED)

    with pytest.raises(KeyringMismatch, match="damaged"):
        replay(folder)


@pytest.mark.parametrize(
    "header",
    [
        [],
        {**HEADER, "installation": "nobody"},
        {**HEADER, "installation": 5},
        {**HEADER, "next_place": "three"},
        {key: value for key, value in HEADER.items() if key != "next_place"},
    ],
)
def test_a_header_of_another_form_is_damage(tmp_path, header):
    folder = written(tmp_path, header, DUMPED)

    with pytest.raises(KeyringMismatch, match="damaged"):
        replay(folder)


def test_whose_keys_a_damaged_log_holds_is_not_said(tmp_path):
    folder = written(tmp_path, {**HEADER, "installation": "nobody"}, DUMPED)

    with pytest.raises(KeyringMismatch, match="damaged"):
        folder.installation(1)


def test_a_key_whose_row_is_none_is_damage(tmp_path):
    row = {"node_id": str(UUID(int=1)), "parent_id": str(UUID(int=2)), "wrapped": "\\xno hex", "fingerprint": "\\x00"}
    root = {"one": True, "epoch": 1, "key_id": str(UUID(int=2)), "top_level": 1}
    rows = [
        {"relation": "key_root", "rows": [root]},
        {"relation": "key_node", "rows": [{**row, "level": 1, "place": 0}]},
    ]

    with pytest.raises(KeyringMismatch, match="damaged"):
        replay(written(tmp_path, HEADER, *rows, DUMPED)).top()


def test_a_torn_end_takes_no_more_memory_than_the_file_is_long(tmp_path):
    """The length of a frame that was torn may be any number: 4 GiB are not asked for because of it."""
    folder = written(tmp_path, HEADER, DUMPED, behind=b"\xff" * 4 + b"torn")
    limits = resource.getrlimit(resource.RLIMIT_AS)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + (1 << 30), limits[1]))
    try:
        found = replay(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)

    assert found.end.length == (tmp_path / "keys-00000001.log").stat().st_size - len(b"\xff" * 4 + b"torn")
