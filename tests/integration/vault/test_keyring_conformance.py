"""What every keyring keeps to, whatever it is made of: files, replicas of files, or a token of SoftHSM2."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from domain.errors import KeyringMismatch, KeysUnavailable, Tampered
from vault.file_keyring import FileKeyring
from vault.installation import PreparedKeyring
from vault.keyring import KeyMissing, RootRef
from vault.pkcs11_keyring import Pkcs11Keyring
from vault.primitives import SecretKey
from vault.replicas import ReplicatedKeyring

OURS = UUID("12345678-1234-4234-8234-123456789abc")


@dataclass
class Place:
    """Where a keyring is: ``files`` are what an operator could lose, ``open`` gives it as an installation has it."""

    files: Path
    open: Callable[[UUID], PreparedKeyring]
    elsewhere: Path

    def lose(self) -> None:
        self.files.rename(self.elsewhere)

    def find(self) -> None:
        self.elsewhere.rename(self.files)


def in_token(location, alone: Callable[[], AbstractContextManager[object]], installation: UUID) -> Pkcs11Keyring:
    return Pkcs11Keyring(location, installation, alone)


@pytest.fixture(params=["file", "replicas", "pkcs11"])
def place(request, tmp_path) -> Place:
    if request.param == "file":
        folder = tmp_path / "keyring"
        return Place(folder, partial(FileKeyring, folder), tmp_path / "elsewhere")
    if request.param == "replicas":
        folders = (tmp_path / "keyring" / "first", tmp_path / "keyring" / "second")
        return Place(tmp_path / "keyring", partial(ReplicatedKeyring, folders), tmp_path / "elsewhere")
    softhsm = request.getfixturevalue("softhsm")
    token = softhsm.new_token()
    lock = multiprocessing.get_context("fork").Lock()
    return Place(softhsm.files_of(token), partial(in_token, token, lambda: lock), tmp_path / "elsewhere")


@pytest.fixture
def keyring(place) -> PreparedKeyring:
    made = place.open(OURS)
    made.prepare()
    return made


def test_a_root_key_wraps_the_same_for_all_who_load_it(place, keyring):
    ref = keyring.create_root(3)
    child = SecretKey.new()

    wrapped = keyring.load_root(ref).wrap(child, b"place")

    assert ref.epoch == 3
    assert len(wrapped) == 12 + 32 + 16
    assert wrapped != keyring.load_root(ref).wrap(child, b"place")
    opened = place.open(OURS).load_root(ref).unwrap(wrapped, b"place")
    assert opened.fingerprint() == child.fingerprint()


def test_a_wrapped_key_opens_only_as_it_was_wrapped(keyring):
    root, other = (keyring.load_root(keyring.create_root(epoch)) for epoch in (1, 2))
    child = SecretKey.new()
    wrapped = root.wrap(child, b"place")

    changed = [bytes(b ^ (at == i) for i, b in enumerate(wrapped)) for at in range(len(wrapped))]
    for one in (*changed, wrapped[:-1], wrapped + b"\0", wrapped[:12], b""):
        with pytest.raises(Tampered):
            root.unwrap(one, b"place")
    for associated in (b"", b"placf", b"place\0"):
        with pytest.raises(Tampered):
            root.unwrap(wrapped, associated)
    with pytest.raises(Tampered):
        other.unwrap(wrapped, b"place")
    assert root.unwrap(wrapped, b"place").fingerprint() == child.fingerprint()


def test_roots_are_listed_oldest_first_and_each_has_an_id_of_its_own(place, keyring):
    refs = [keyring.create_root(epoch) for epoch in (2, 10, 1, 10)]

    assert [ref.epoch for ref in keyring.roots()] == [1, 2, 10, 10]
    assert keyring.roots() == place.open(OURS).roots() == sorted(refs)
    assert len({ref.key_id for ref in refs}) == 4


def test_a_destroyed_root_key_is_gone_for_all_and_cannot_be_used_by_who_had_it(place, keyring):
    kept, ref = keyring.create_root(1), keyring.create_root(2)
    other = place.open(OURS)
    other.load_root(ref)

    keyring.destroy_root(ref)
    keyring.destroy_root(ref)

    for one in (keyring, other, place.open(OURS)):
        with pytest.raises(KeyMissing):
            one.load_root(ref)
        assert one.roots() == [kept]


def test_a_root_key_nobody_made_is_missing(keyring):
    keyring.create_root(1)

    with pytest.raises(KeyMissing):
        keyring.load_root(RootRef(1, uuid4()))


def test_a_secret_stays_the_same_until_destroyed(place, keyring):
    keyring.create_root(1)
    first = keyring.secret("relay-mac")

    assert len(first) == 32
    assert keyring.secret("relay-mac") == place.open(OURS).secret("relay-mac") == first
    assert keyring.secret("inbox.2026-01-01") != first
    assert keyring.secrets() == place.open(OURS).secrets() == ["inbox.2026-01-01", "relay-mac"]

    keyring.destroy_secret("relay-mac")
    keyring.destroy_secret("relay-mac")

    assert keyring.secrets() == ["inbox.2026-01-01"]
    assert place.open(OURS).secret("relay-mac") != first


@pytest.mark.parametrize("name", ["", "../x", "A", "a/b", "a b", ".a", "x" * 101])
def test_a_secret_s_name_is_checked(keyring, name):
    for call in (keyring.secret, keyring.destroy_secret):
        with pytest.raises(ValueError, match="not a name"):
            call(name)


def _ask(place: Place, start, answers) -> None:
    start.wait()
    keyring = place.open(OURS)
    answers.put([keyring.secret(f"s{number}") for number in range(8)])


def test_processes_that_ask_at_once_get_one_secret(place, keyring):
    keyring.create_root(1)
    context = multiprocessing.get_context("fork")
    start, answers = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_ask, args=(place, start, answers)) for _ in range(4)]
    for process in processes:
        process.start()

    got = [answers.get(timeout=60) for _ in processes]

    for process in processes:
        process.join()
    assert got[1:] == got[:1] * 3
    assert len(set(got[0])) == 8


def test_another_installation_neither_reads_nor_writes(place, keyring):
    ref = keyring.create_root(1)
    secret = keyring.secret("relay-mac")
    other = place.open(uuid4())

    for call in (other.check, lambda: other.load_root(ref), lambda: other.secret("relay-mac")):
        with pytest.raises(KeyringMismatch, match="another installation"):
            call()
    if isinstance(other, Pkcs11Keyring):
        for call in (
            other.roots,
            other.secrets,
            lambda: other.create_root(2),
            lambda: other.destroy_root(ref),
            lambda: other.secret("new"),
            lambda: other.destroy_secret("relay-mac"),
        ):
            with pytest.raises(KeyringMismatch, match="another installation"):
                call()

    keyring.check()
    assert keyring.roots() == [ref]
    assert keyring.secrets() == ["relay-mac"]
    assert keyring.secret("relay-mac") == secret


def test_out_of_reach_is_an_outage_and_all_is_well_when_it_is_back(place, keyring):
    ref = keyring.create_root(1)
    root = keyring.load_root(ref)
    secret = keyring.secret("relay-mac")
    child = SecretKey.new()
    wrapped = root.wrap(child, b"")
    place.lose()

    for call in (
        keyring.check,
        keyring.roots,
        keyring.secrets,
        lambda: keyring.load_root(ref),
        lambda: keyring.create_root(2),
        lambda: keyring.destroy_root(ref),
        lambda: keyring.secret("relay-mac"),
        lambda: keyring.secret("new"),
        lambda: keyring.destroy_secret("relay-mac"),
    ):
        with pytest.raises(KeysUnavailable):
            call()
    assert not place.files.exists()
    place.find()

    assert keyring.roots() == [ref]
    assert keyring.load_root(ref).unwrap(wrapped, b"").fingerprint() == child.fingerprint()
    assert root.unwrap(wrapped, b"").fingerprint() == child.fingerprint()
    assert keyring.secrets() == ["relay-mac"]
    assert keyring.secret("relay-mac") == secret


def test_an_old_copy_lacks_what_came_later(place, keyring, tmp_path):
    old_ref = keyring.create_root(1)
    shutil.copytree(place.files, tmp_path / "old")
    ref = keyring.create_root(2)
    keyring.destroy_root(old_ref)
    place.lose()
    (tmp_path / "old").rename(place.files)

    with pytest.raises(KeyMissing):
        keyring.load_root(ref)
    assert keyring.roots() == [old_ref]
