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


CHANGES = [{"changes": [[number, "key_scope", True, [{"scope_id": "x" * 3_000}]]]} for number in range(3)]


def starts(folder: Path, *bodies: object) -> list[int]:
    """Return where each frame of a log with these bodies begins, and where the last one ends."""
    return [written(folder, *bodies[:count])._path(1).stat().st_size for count in range(len(bodies) + 1)]


def test_a_bit_that_flipped_anywhere_is_damage_with_whole_frames_behind_it_and_at_the_end(tmp_path):
    """An append that was torn ends early or lacks blocks: it has no frame behind it, and no byte of it is another."""
    *at, size = starts(tmp_path / "parts", HEADER, DUMPED, *CHANGES)
    raw = written(tmp_path, HEADER, DUMPED, *CHANGES)._path(1).read_bytes()
    near = [place for start in [*at, size] for place in range(start - 40, start + 8) if 0 <= place < size]
    for place in [*near, *range(0, size, 97)]:
        broken = bytearray(raw)
        broken[place] ^= 0x10
        (tmp_path / "keys-00000001.log").write_bytes(broken)
        frame = max(start for start in at if start <= place)

        with pytest.raises(KeyringMismatch, match=rf"damaged: .*/keys-00000001\.log, from byte {frame} on"):
            replay(ChangeFolder(tmp_path))

    assert (tmp_path / "keys-00000001.log").read_bytes() == bytes(broken)


@pytest.mark.parametrize("length", [0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_length_that_cannot_be_is_damage(tmp_path, length):
    at = starts(tmp_path / "parts", HEADER, DUMPED, *CHANGES)
    raw = bytearray(written(tmp_path, HEADER, DUMPED, *CHANGES)._path(1).read_bytes())
    for start in at[2:-1]:
        broken = bytearray(raw)
        broken[start : start + 4] = length.to_bytes(4, "big")
        (tmp_path / "keys-00000001.log").write_bytes(broken)

        with pytest.raises(KeyringMismatch, match=f"from byte {start} on"):
            replay(ChangeFolder(tmp_path))


def test_zeros_over_frames_that_were_whole_are_damage(tmp_path):
    *_, before, last, size = starts(tmp_path / "parts", HEADER, DUMPED, *CHANGES)
    raw = bytearray(written(tmp_path, HEADER, DUMPED, *CHANGES)._path(1).read_bytes())
    raw[before + 600 :] = bytes(size - before - 600)
    (tmp_path / "keys-00000001.log").write_bytes(raw)

    with pytest.raises(KeyringMismatch, match=f"from byte {before} on"):
        replay(ChangeFolder(tmp_path))
    assert last > before + 600


def test_an_append_that_was_torn_anywhere_counts_for_nothing(tmp_path):
    *_, last, size = starts(tmp_path / "parts", HEADER, DUMPED, *CHANGES)
    raw = written(tmp_path, HEADER, DUMPED, *CHANGES)._path(1).read_bytes()
    blocks = range(last - last % 512, size, 512)
    torn = [raw[:length] for length in [*range(last, last + 50), *range(last + 50, size, 61), *range(size - 40, size)]]
    for block in blocks:
        start, end = max(block, last), min(block + 512, size)
        # This block was not written, or none from here on.
        torn += [raw[:start] + bytes(end - start) + raw[end:], raw[:start] + bytes(size - start)]

    for content in torn:
        (tmp_path / "keys-00000001.log").write_bytes(content)
        assert replay(ChangeFolder(tmp_path)).end.length == last


def test_what_an_append_cuts_off_is_kept(tmp_path):
    folder = written(tmp_path, HEADER, DUMPED, behind=b"\0\0\1\0{torn")
    end = folder.end(1)

    after = folder.append(end, CHANGES[0])
    folder.append(after, CHANGES[1])

    [kept] = tmp_path.glob("keys-00000001.cut-*")
    assert kept.read_bytes() == b"\0\0\1\0{torn"
    assert [frame.content for frame in folder.frames(1)] == [HEADER, DUMPED, *CHANGES[:2]]
    assert folder.last_generation() == 1
