"""A token of SoftHSM2 on a file system of a few hundred kilobytes, in a mount namespace of its own.

Run as a program it is the process inside the namespace: ``full_token.py FOLDER``; it prints what each call said.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from uuid import UUID

from domain.errors import CasekeeperError
from tests.softhsm import SoftHsm
from vault.pkcs11_keyring import Pkcs11Keyring

OURS = UUID("12345678-1234-4234-8234-123456789abc")


def said(call) -> str:
    """Return what a call answers, or the name and text of its error."""
    try:
        return f"done: {call() is not None}"
    except CasekeeperError as error:
        return f"{type(error).__name__}: {error}"


def fill(path: Path) -> None:
    """Take every byte that is left."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    for size in (4096, 1):
        with suppress(OSError):
            while True:
                os.write(descriptor, b"x" * size)
    os.close(descriptor)


def remount(folder: Path, mode: str) -> None:
    """Make the small file system read-only or writable again."""
    subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)


def main(folder: Path) -> None:
    """Make keys, fill the disk, ask for everything that writes, make room, and look at what there is."""
    softhsm = SoftHsm(folder)
    softhsm.start()
    keyring = Pkcs11Keyring(softhsm.new_token(), OURS, nullcontext)
    keyring.prepare()
    old, ref, secret = keyring.create_root(1), keyring.create_root(2), keyring.secret("kept")
    fill(folder / "filler")
    print("create_root", said(lambda: keyring.create_root(3)))
    print("secret", said(lambda: keyring.secret("new")))
    print("load_root", said(lambda: keyring.load_root(ref)))
    print("kept", keyring.secret("kept") == secret)
    destroyed = said(lambda: keyring.destroy_root(old))
    (folder / "filler").unlink()
    keyring.check()
    print("destroyed", (old not in keyring.roots()) == destroyed.startswith("done"))
    keyring.destroy_root(old)
    remount(folder, "ro")
    for name, call in {
        "read_only_create_root": lambda: keyring.create_root(4),
        "read_only_secret": lambda: keyring.secret("new"),
        "read_only_destroy_root": lambda: keyring.destroy_root(ref),
        "read_only_destroy_secret": lambda: keyring.destroy_secret("kept"),
    }.items():
        print(name, said(call))
    print("read_only_load_root", said(lambda: keyring.load_root(ref)))
    remount(folder, "rw")
    print("there", keyring.roots() == [ref], keyring.secrets(), keyring.secret("kept") == secret)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
