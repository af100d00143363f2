"""A keyring whose second replica lies on a small file system in a mount namespace of its own: full, then read-only.

Run as a program inside the namespace: ``full_replica.py FOLDER``; it prints what each call said.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from full_token import OURS, fill, remount, said

from vault.replicas import ReplicatedKeyring


def main(folder: Path) -> None:
    """Ask for everything that writes, and look at what there is when the second replica is well again."""
    first, second = folder / "first", folder / "second"
    second.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(second)], check=True)
    keyring = ReplicatedKeyring((first, second), OURS)
    keyring.prepare()
    old, ref, secret = keyring.create_root(1), keyring.create_root(2), keyring.secret("kept")
    root = keyring.load_root(ref).fingerprint()

    def readable() -> bool:
        return keyring.load_root(ref).fingerprint() == root and keyring.secret("kept") == secret

    fill(second / "filler")
    print("full create_root", said(lambda: keyring.create_root(3)))
    print("full secret", said(lambda: keyring.secret("new")))
    print("full read", readable())
    (second / "filler").unlink()
    remount(second, "ro")
    print("read-only create_root", said(lambda: keyring.create_root(4)))
    print("read-only destroy_root", said(lambda: keyring.destroy_root(old)))
    print("read-only destroy_secret", said(lambda: keyring.destroy_secret("kept")))
    print("read-only read", readable())
    remount(second, "rw")
    keyring.settle(ref, lambda: ref)
    for half_made in keyring.roots():
        if half_made != ref:
            keyring.destroy_root(half_made)
    keyring.destroy_secret("new")
    same = [sorted(path.name for path in each.glob("*.key")) for each in (first, second)]
    print("well again", readable(), same[0] == same[1], keyring.secrets())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
