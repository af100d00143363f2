"""A keyring in SoftHSM2: threads, forks, and each way in which a device fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pkcs11
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from mount_namespace import NAMESPACE, possible
from pkcs11 import Attribute, KeyType, ObjectClass

from domain.errors import KeyringMismatch, KeysUnavailable, Tampered
from tests.softhsm import OWN_FILE
from vault import device_key
from vault.device_key import _decrypt, _encrypt
from vault.pkcs11_device import Device
from vault.pkcs11_keyring import Pkcs11Keyring
from vault.primitives import SecretKey

OURS = UUID("12345678-1234-4234-8234-123456789abc")
CLONE = Path(__file__).resolve().parents[3]
FULL_TOKEN = Path(__file__).with_name("full_token.py")


@pytest.fixture
def token(softhsm):
    return softhsm.new_token()


def opened(token, installation=OURS) -> Pkcs11Keyring:
    return Pkcs11Keyring(token, installation, nullcontext)


@pytest.fixture
def keyring(token):
    made = opened(token)
    made.prepare()
    return made


def objects(token):
    """Return label and class of every object in the token."""
    return Device(token).run(
        lambda s, _: [(o[Attribute.LABEL], o.object_class) for o in list(s.get_objects())], fresh=True
    )


THREADS = """
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from threading import Thread
from uuid import UUID
from vault.keyring_location import parse
from vault.pkcs11_keyring import Pkcs11Keyring
from vault.primitives import SecretKey

keyrings = [Pkcs11Keyring(parse(uri, "X"), UUID(int=number), nullcontext) for number, uri in enumerate(sys.argv[1:])]
for keyring in keyrings:
    keyring.prepare()
done = []

def work(keyring, number):
    for turn in range(12):
        ref = keyring.create_root(number * 1000 + turn)
        root, child = keyring.load_root(ref), SecretKey.new()
        assert root.unwrap(root.wrap(child, b"x"), b"x").fingerprint() == child.fingerprint()
        keyring.destroy_root(ref)
    done.append(number)

threads = [Thread(target=work, args=(keyrings[number % len(keyrings)], number)) for number in range(10)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sorted(done) == list(range(10)), [keyring.roots() for keyring in keyrings])
"""


def test_ten_threads_in_two_tokens_at_once(softhsm):
    """Without one lock for both, SoftHSM2 ends the process with a segmentation fault."""
    tokens = [str(softhsm.new_token()) for _ in range(2)]

    done = subprocess.run(
        [sys.executable, "-c", THREADS, *tokens], cwd=CLONE, capture_output=True, text=True, timeout=240, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "True [[], []]\n", "")


def in_a_child(work) -> str:
    """Return what a forked child says."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = str(work())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answers:
        said = answers.read()
    os.waitpid(child, 0)
    return said


def test_a_forked_child_uses_the_device_by_itself_and_its_parent_goes_on(keyring):
    ref = keyring.create_root(1)
    root, child = keyring.load_root(ref), SecretKey.new()
    wrapped = root.wrap(child, b"")

    assert in_a_child(lambda: root.unwrap(wrapped, b"").fingerprint()) == str(child.fingerprint())
    assert in_a_child(lambda: keyring.create_root(2).epoch) == "2"
    assert root.unwrap(wrapped, b"").fingerprint() == child.fingerprint()
    assert [each.epoch for each in keyring.roots()] == [1, 2]


def test_forking_while_other_threads_use_the_device(keyring):
    root, child = keyring.load_root(keyring.create_root(1)), SecretKey.new()
    wrapped = root.wrap(child, b"")
    stop = []

    def use():
        while not stop:
            assert root.unwrap(wrapped, b"").fingerprint() == child.fingerprint()
        return True

    with ThreadPoolExecutor(3) as pool:
        using = [pool.submit(use) for _ in range(3)]
        said = {in_a_child(lambda: root.unwrap(wrapped, b"").fingerprint()) for _ in range(8)}
        stop.append(True)

    assert said == {str(child.fingerprint())}
    assert all(each.result() for each in using)


def test_root_keys_are_made_in_the_device_and_cannot_leave_it(token, keyring):
    ref = keyring.create_root(1)

    def look(session, _):
        [key] = session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY})
        with pytest.raises(pkcs11.AttributeSensitive):
            key[Attribute.VALUE]
        flags = (
            Attribute.LOCAL, Attribute.NEVER_EXTRACTABLE, Attribute.ALWAYS_SENSITIVE, Attribute.PRIVATE,
            Attribute.MODIFIABLE, Attribute.WRAP, Attribute.SIGN, Attribute.DERIVE,
        )  # fmt: skip
        return key[Attribute.LABEL], key[Attribute.ID], key.key_length, [key[flag] for flag in flags]

    assert Device(token).run(look) == (
        f"root-000000000001-{ref.key_id.hex}",
        OURS.bytes + ref.key_id.bytes,
        256,
        [True] * 4 + [False] * 4,
    )


def test_the_device_s_gcm_is_that_of_the_standard_library_of_cryptography(token, keyring):
    """A key of known bytes in the device, only for this session: each side opens what the other sealed."""
    known, nonce, associated = os.urandom(32), os.urandom(12), os.urandom(70)

    def compare(session, _):
        template = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES, Attribute.VALUE: known}
        key = session.create_object({**template, Attribute.ENCRYPT: True, Attribute.DECRYPT: True})
        sealed = _encrypt(key, nonce, b"k" * 32, associated)
        assert sealed == AESGCM(known).encrypt(nonce, b"k" * 32, associated)
        assert _decrypt(key, nonce, sealed, associated) == b"k" * 32
        assert _encrypt(key, nonce, b"k" * 32, b"") == AESGCM(known).encrypt(nonce, b"k" * 32, None)

    Device(token).run(compare)


def test_a_device_that_fails_for_a_moment_is_not_taken_for_tampering(keyring, monkeypatch):
    root, child = keyring.load_root(keyring.create_root(1)), SecretKey.new()
    wrapped = root.wrap(child, b"context")
    failures = [pkcs11.DeviceError]

    def failing_once(*arguments):
        if failures:
            raise failures.pop()
        return _decrypt(*arguments)

    monkeypatch.setattr(device_key, "_decrypt", failing_once)

    assert root.unwrap(wrapped, b"context").exposed() == child.exposed()
    assert failures == []
    for changed in ((wrapped[:-1] + bytes([wrapped[-1] ^ 1]), b"context"), (wrapped, b"another")):
        with pytest.raises(Tampered):
            root.unwrap(*changed)


def test_a_root_key_that_could_leave_the_device_is_refused(token, keyring):
    ref = keyring.create_root(1)

    def smuggle(session, _):
        [key] = session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY})
        label, key_id = key[Attribute.LABEL], key[Attribute.ID]
        key.destroy()
        session.generate_key(
            KeyType.AES, 256, id=key_id, label=label, store=True, template={Attribute.EXTRACTABLE: True}
        )

    Device(token).run(smuggle)

    with pytest.raises(KeyringMismatch, match="could leave it"):
        keyring.check()
    assert keyring.roots() == [ref]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"format": 2, "installation": str(OURS)}, "unknown version"),
        ({"format": 1, "installation": str(UUID(int=1))}, "another installation"),
        ({"format": 1}, "damaged"),
        ([], "damaged"),
    ],
)
def test_a_token_that_says_something_else_is_refused_and_left_alone(token, content, said):
    def mark(session, _):
        data = {Attribute.CLASS: ObjectClass.DATA, Attribute.TOKEN: True, Attribute.PRIVATE: True}
        named = {Attribute.APPLICATION: "casekeeper", Attribute.LABEL: "casekeeper-keyring"}
        session.create_object({**data, **named, Attribute.VALUE: json.dumps(content).encode()})

    Device(token).run(mark)
    before = objects(token)
    keyring = opened(token)

    for call in (keyring.prepare, keyring.check, keyring.roots, keyring.secrets, lambda: keyring.create_root(1)):
        with pytest.raises(KeyringMismatch, match=said):
            call()
    assert objects(token) == before


def test_a_token_without_a_keyring_is_an_outage(token):
    keyring = opened(token)

    for call in (
        keyring.check,
        keyring.roots,
        keyring.secrets,
        lambda: keyring.secret("a"),
        lambda: keyring.create_root(1),
    ):
        with pytest.raises(KeysUnavailable, match="is it the right one"):
            call()
    assert objects(token) == []


def test_what_a_library_has_lost_sight_of_is_not_taken_for_missing(token, keyring, softhsm):
    """SoftHSM2 calls a key gone for good once its file could not be read, also when it can be again."""
    ref, secret = keyring.create_root(1), keyring.secret("kept")
    folder = softhsm.files_of(token)
    away = [path.rename(path.with_suffix(".away")) for path in folder.glob("*-*.object")]

    def blind(session, _):
        return [
            list(session.get_objects({Attribute.CLASS: kind})) for kind in (ObjectClass.SECRET_KEY, ObjectClass.DATA)
        ]

    assert Device(token).run(blind) == [[], []]
    for path in away:
        path.rename(path.with_suffix(".object"))

    assert keyring.load_root(ref)
    assert keyring.secret("kept") == secret


def test_a_library_that_is_not_there(token):
    keyring = opened(replace(token, module=Path("/usr/lib/no-such-hsm.so")))

    with pytest.raises(KeysUnavailable, match="library is not there: see module-path"):
        keyring.check()


def test_a_file_that_is_no_library(token, tmp_path):
    (tmp_path / "text.so").write_text("no library")

    with pytest.raises(KeysUnavailable, match="cannot be started: see module-path"):
        opened(replace(token, module=tmp_path / "text.so")).check()


def test_a_token_that_is_not_there(token):
    with pytest.raises(KeysUnavailable, match="the token is not in the device"):
        opened(replace(token, token="another")).check()
    with pytest.raises(KeysUnavailable, match="the token is not in the device"):
        opened(replace(token, serial="1")).check()


def test_a_token_emptied_by_a_kill_during_a_login_is_an_outage_until_its_copy_is_back(softhsm, token, keyring):
    (softhsm.files_of(token) / OWN_FILE).write_bytes(b"")

    with pytest.raises(KeysUnavailable, match="the token is not in the device"):
        Device(token).run(lambda session, _: None, fresh=True)

    softhsm.mend()
    assert objects(token)


def test_two_tokens_of_one_name(softhsm, token):
    command = ["softhsm2-util", "--init-token", "--free", "--label", token.token, "--pin", "1111", "--so-pin", "22222"]
    subprocess.run(command, check=True, capture_output=True)

    with pytest.raises(KeysUnavailable, match="name its serial"):
        opened(token).check()


def test_a_wrong_pin_is_tried_once_and_not_shown(softhsm, token, tmp_path):
    right = token.pin_source.read_text()
    wrong = replace(token, pin_source=tmp_path / "pin")
    wrong.pin_source.write_text("canary-7731")
    keyring = opened(wrong)

    with pytest.raises(KeysUnavailable, match="refused the PIN") as first:
        keyring.check()
    with pytest.raises(KeysUnavailable, match="correct the file that pin-source names") as second:
        keyring.check()
    for refused in (first, second):
        assert "canary" not in f"{refused.value!r} {refused.value.__cause__!r}"
        assert refused.value.__suppress_context__ or refused.value.__context__ is None

    wrong.pin_source.write_text(right + "\n")
    keyring.prepare()
    assert keyring.secrets() == []


def test_no_file_of_the_pin(token, tmp_path):
    with pytest.raises(KeysUnavailable, match="PIN cannot be read: see pin-source"):
        opened(replace(token, pin_source=tmp_path / "none")).check()


@pytest.mark.skipif(not possible(), reason="needs a mount namespace")
def test_a_full_or_read_only_device_changes_nothing_and_goes_on_reading(softhsm, tmp_path):
    program = f"mount -t tmpfs -o size=160k none {tmp_path} && exec {sys.executable} {FULL_TOKEN} {tmp_path}"

    done = subprocess.run(
        [*NAMESPACE, "sh", "-c", program],
        env={**os.environ, "PYTHONPATH": str(CLONE)}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert done.returncode == 0, done.stderr
    for call in (
        "create_root",
        "secret",
        "read_only_create_root",
        "read_only_secret",
        "read_only_destroy_root",
        "read_only_destroy_secret",
    ):
        assert said.pop(call).startswith("KeysUnavailable: the device failed (")
    assert said == {
        "load_root": "done: True",
        "kept": "True",
        "destroyed": "True",
        "read_only_load_root": "done: True",
        "there": "True ['kept'] True",
    }


def test_a_destroyed_key_leaves_no_file(token, keyring, softhsm):
    before = {path.name for path in softhsm.files_of(token).iterdir()}
    ref = keyring.create_root(1)
    keyring.secret("s")
    assert len({path.name for path in softhsm.files_of(token).glob("*.object")} - before) == 2

    keyring.destroy_root(ref)
    keyring.destroy_secret("s")

    assert {path.name for path in softhsm.files_of(token).iterdir()} == before
