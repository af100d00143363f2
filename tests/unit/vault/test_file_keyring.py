import fcntl
import hashlib
import json
import multiprocessing
import os
import signal
import stat
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from domain.errors import KeyringMismatch, KeysUnavailable
from vault import file_keyring
from vault.file_keyring import FileKeyring
from vault.keyring import KeyMissing, RootRef
from vault.primitives import SecretKey

INSTALLATION = UUID("12345678-1234-4234-8234-123456789abc")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "deep" / "keyring"


@pytest.fixture
def keyring(folder):
    made = FileKeyring(folder, INSTALLATION)
    made.prepare()
    return made


def only_key_file(folder):
    [path] = folder.glob("*.key")
    return path


def rewrite(path, **changes):
    """Write a key file again with other content and a check that fits it."""
    content = {**json.loads(path.read_text()), **changes}
    del content["check"]
    content["check"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(content))


def test_a_root_key_wraps_the_same_for_every_process_that_loads_it(keyring, folder):
    ref = keyring.create_root(1)
    child = SecretKey.new()

    wrapped = keyring.load_root(ref).wrap(child, b"x")

    assert FileKeyring(folder, INSTALLATION).load_root(ref).unwrap(wrapped, b"x").fingerprint() == child.fingerprint()
    assert ref.epoch == 1


def test_only_the_owner_may_read(keyring, folder):
    keyring.create_root(1)
    keyring.secret("relay")

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_roots_are_listed_oldest_first_and_each_has_an_id_of_its_own(keyring):
    refs = [keyring.create_root(epoch) for epoch in (2, 10, 1, 10)]

    assert keyring.roots() == sorted(refs)
    assert [ref.epoch for ref in keyring.roots()] == [1, 2, 10, 10]
    assert len(set(refs)) == 4


def test_a_destroyed_root_key_is_overwritten_and_gone(keyring, folder, tmp_path):
    keyring.create_root(2)
    ref = keyring.create_root(1)
    path = folder / f"root-000000000001-{ref.key_id.hex}.key"
    kept = tmp_path / "same blocks"
    os.link(path, kept)

    keyring.destroy_root(ref)

    assert not path.exists()
    assert set(kept.read_bytes()) == {0}
    with pytest.raises(KeyMissing):
        keyring.load_root(ref)
    assert ref not in keyring.roots()


def test_destroying_twice_is_no_error(keyring):
    keyring.create_root(2)
    ref = keyring.create_root(1)

    keyring.destroy_root(ref)
    keyring.destroy_root(ref)

    assert [ref.epoch for ref in keyring.roots()] == [2]


def test_a_key_overwritten_but_not_yet_removed_counts_as_gone_and_can_be_removed(keyring, folder):
    ref = keyring.create_root(1)
    path = only_key_file(folder)
    path.write_bytes(bytes(path.stat().st_size))

    with pytest.raises(KeyMissing):
        keyring.load_root(ref)
    keyring.destroy_root(ref)

    assert not path.exists()


def killed_making(work, *, after_link: bool) -> None:
    """Run work in a process that ends at the link that gives a key its name."""

    def die() -> None:
        link = os.link

        def call(source, target):
            if after_link:
                link(source, target)
            os._exit(9)

        os.link = call
        work()

    process = multiprocessing.get_context("fork").Process(target=die)
    process.start()
    process.join(60)
    assert process.exitcode == 9


def left_by_a_kill(folder: Path) -> Path:
    [path] = folder.glob(".new-*")
    return path


CLEARING = {
    "settled": lambda keyring, ref: keyring.settle(ref, lambda: ref),
    "a root destroyed": lambda keyring, ref: keyring.destroy_root(RootRef(1, uuid4())),
    "a secret destroyed": lambda keyring, ref: keyring.destroy_secret("another"),
    "a secret made": lambda keyring, ref: keyring.secret("another"),
}


@pytest.mark.parametrize("clear", CLEARING.values(), ids=CLEARING)
def test_a_key_that_a_kill_left_without_a_name_is_overwritten_and_gone(keyring, folder, tmp_path, clear):
    ref = keyring.create_root(2)
    key = b"k" * 32
    killed_making(lambda: keyring.put_root(RootRef(1, uuid4()), key), after_link=False)
    assert json.loads(left_by_a_kill(folder).read_text())["key"] == key.hex()
    os.link(left_by_a_kill(folder), tmp_path / "same blocks")
    assert keyring.leftovers() == 1

    clear(keyring, ref)

    assert set((tmp_path / "same blocks").read_bytes()) == {0}
    assert not list(folder.glob(".new-*"))
    assert keyring.leftovers() == 0
    assert keyring.roots() == [ref]


@pytest.mark.parametrize("clear", CLEARING.values(), ids=CLEARING)
def test_a_key_that_had_its_name_when_its_maker_was_killed_is_kept(keyring, folder, clear):
    ref, kept = keyring.create_root(2), RootRef(3, uuid4())
    killed_making(lambda: keyring.put_root(kept, b"k" * 32), after_link=True)
    assert left_by_a_kill(folder).stat().st_nlink == 2

    clear(keyring, ref)

    assert not list(folder.glob(".new-*"))
    assert keyring.load_root(kept).exposed() == b"k" * 32


def test_a_copy_whose_name_is_taken_is_overwritten(keyring, monkeypatch):
    ref = keyring.create_root(1)
    opened = []
    link = os.link

    def call(source, target):
        opened.append(os.open(source, os.O_RDONLY))
        link(source, target)

    monkeypatch.setattr(os, "link", call)

    assert not keyring.put_root(ref, b"k" * 32)

    assert set(os.pread(opened[0], 1_000, 0)) == {0}
    os.close(opened[0])
    assert keyring.load_root(ref).exposed() != b"k" * 32


def test_a_secret_stays_the_same_until_destroyed(keyring, folder):
    keyring.create_root(1)
    first = keyring.secret("relay-mac")

    assert len(first) == 32
    assert keyring.secret("relay-mac") == FileKeyring(folder, INSTALLATION).secret("relay-mac") == first
    assert keyring.secret("inbox.2026-01-01") != first
    assert keyring.secrets() == ["inbox.2026-01-01", "relay-mac"]

    keyring.destroy_secret("relay-mac")
    keyring.destroy_secret("relay-mac")

    assert keyring.secrets() == ["inbox.2026-01-01"]
    assert keyring.secret("relay-mac") != first


def test_a_secret_whose_destruction_was_cut_short_is_made_anew(keyring, folder):
    keyring.create_root(1)
    keyring.secret("a")
    path = folder / "secret-a.key"
    path.write_bytes(bytes(path.stat().st_size))

    assert len(set(keyring.secret("a"))) > 1
    assert keyring.secret("a") == keyring.secret("a")


@pytest.mark.parametrize("name", ["", "../x", "A", "a/b", "a b", ".a", "x" * 101])
def test_a_secret_s_name_is_checked(keyring, name):
    with pytest.raises(ValueError, match="not a name"):
        keyring.secret(name)


def _ask(folder: Path, start, answers) -> None:
    keyring = FileKeyring(folder, INSTALLATION)
    start.wait()
    answers.put([keyring.secret(f"s{number}") for number in range(20)])


def test_processes_that_ask_at_once_get_one_secret(keyring, folder):
    keyring.create_root(1)
    context = multiprocessing.get_context("fork")
    start, answers = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_ask, args=(folder, start, answers)) for _ in range(4)]
    for process in processes:
        process.start()

    got = [answers.get(timeout=20) for _ in processes]

    for process in processes:
        process.join()
    assert got[1:] == got[:1] * 3
    assert len(set(got[0])) == 20
    assert not list(folder.glob(".new-*"))


def test_a_secret_is_not_made_or_destroyed_while_another_process_does_so(keyring, folder):
    keyring.create_root(1)
    kept = keyring.secret("kept")
    descriptor = os.open(folder / ".lock", os.O_WRONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)

    with ThreadPoolExecutor(2) as pool:
        made, destroyed = pool.submit(keyring.secret, "new"), pool.submit(keyring.destroy_secret, "kept")
        assert wait([made, destroyed], timeout=0.3).done == set()
        assert keyring.secret("kept") == kept, "reading needs no lock"
        os.close(descriptor)

    assert len(made.result()) == 32
    assert keyring.secrets() == ["new"]


def _stop_with_the_lock(keyring: FileKeyring) -> None:
    with keyring.alone():
        os.kill(os.getpid(), signal.SIGSTOP)


def test_a_process_that_is_stopped_while_it_makes_a_secret_keeps_nobody_waiting_for_ever(keyring, folder, monkeypatch):
    monkeypatch.setattr(file_keyring, "LOCK_SECONDS", 0.2)
    keyring.create_root(1)
    kept = keyring.secret("kept")
    stopped = multiprocessing.get_context("fork").Process(target=_stop_with_the_lock, args=(keyring,))
    stopped.start()
    os.waitid(os.P_PID, stopped.pid, os.WSTOPPED | os.WNOWAIT)
    try:
        for call in (lambda: keyring.secret("new"), lambda: keyring.destroy_secret("kept")):
            with pytest.raises(KeysUnavailable, match="is one stopped"):
                call()
        assert keyring.secret("kept") == kept
    finally:
        os.kill(stopped.pid, signal.SIGCONT)
        stopped.join()

    keyring.destroy_secret("kept")
    assert keyring.secrets() == []
    assert len(keyring.secret("new")) == 32


def test_another_installation_s_keyring_is_refused(keyring, folder):
    ref = keyring.create_root(1)
    other = FileKeyring(folder, uuid4())

    for look in (other.check, lambda: other.load_root(ref)):
        with pytest.raises(KeyringMismatch, match="another installation"):
            look()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "unknown version"),
        ({"name": "root-1.key"}, "renamed"),
        ({"installation": str(uuid4())}, "another"),
    ],
)
def test_a_file_that_says_something_else_is_refused(keyring, folder, changes, message):
    ref = keyring.create_root(1)
    rewrite(only_key_file(folder), **changes)

    with pytest.raises(KeyringMismatch, match=message):
        keyring.check()
    with pytest.raises(KeyringMismatch, match=message):
        keyring.load_root(ref)


def test_a_damaged_file_is_refused_and_its_content_not_shown(keyring, folder):
    ref = keyring.create_root(1)
    path = only_key_file(folder)
    content = path.read_bytes()
    key = json.loads(content)["key"]
    damaged = [content[:-20], b"{}", b"\xff\xfe", b"[]", content.replace(key[:2].encode(), b"zz", 1)]
    damaged.append(content.replace(key.encode(), (key[1:] + key[:1]).encode()))

    for raw in damaged:
        path.write_bytes(raw)
        with pytest.raises(KeyringMismatch, match="damaged") as refused:
            keyring.load_root(ref)
        assert key[4:] not in str(refused.value)


def test_no_folder_and_an_empty_folder_are_outages(keyring, folder, tmp_path):
    with pytest.raises(KeysUnavailable):
        FileKeyring(tmp_path / "not there", INSTALLATION).roots()
    with pytest.raises(KeysUnavailable, match="mounted"):
        keyring.load_root(RootRef(1, uuid4()))
    with pytest.raises(KeysUnavailable, match="mounted"):
        keyring.secret("relay-mac")
    assert list(folder.iterdir()) == []


def test_a_folder_that_lost_everything_is_an_outage_and_not_a_keyring_without_secrets(keyring, folder):
    keyring.create_root(1)
    keyring.secret("relay-mac")
    assert keyring.secrets() == ["relay-mac"]
    for file in folder.glob("*.key"):
        file.unlink()

    with pytest.raises(KeysUnavailable):
        keyring.secrets()
