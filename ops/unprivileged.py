"""Running a program as somebody other than root, which PostgreSQL insists on.

A user who is not root needs nothing. For root, a user namespace that maps root to an ordinary user is enough:
no account is made and files stay root's. Where namespaces are not allowed, an unprivileged account runs the program
in a folder it can reach.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.errors import LocalServerError

_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
_ACCOUNTS = ("postgres", "nobody")
_REACHABLE = Path("/var/lib/casekeeper")


@dataclass(frozen=True)
class Unprivileged:
    """A way to run programs: ``prefix`` goes before their arguments; ``account`` owns their files (None: we do)."""

    prefix: tuple[str, ...] = ()
    account: pwd.struct_passwd | None = None

    def folder_for(self, wanted: Path) -> Path:
        """Return a folder the programs may write, made if missing: ``wanted``, or one in reach that it links to.

        Raises LocalServerError if ``wanted`` was made for root's own user namespace, which is not allowed any more.
        """
        if self.account is None:
            wanted.mkdir(parents=True, exist_ok=True, mode=0o700)
            return wanted
        target = _REACHABLE / hashlib.sha256(str(wanted).encode()).hexdigest()[:16]
        target.mkdir(parents=True, exist_ok=True)
        target.chmod(0o700)
        os.chown(target, self.account.pw_uid, self.account.pw_gid)
        if not wanted.exists():
            wanted.symlink_to(target)
        elif not wanted.is_symlink():
            raise LocalServerError(f"{wanted} needs user namespaces, as when it was made: allow them again")
        return target

    def programs_in(self, folder: Path, parts: Sequence[str]) -> Path:
        """Return ``folder``, or one in reach with copies of these ``parts`` of it when the account cannot read them."""
        if self.account is None or all(self._reads(folder / part) for part in parts):
            return folder
        copy = _REACHABLE / f"programs-{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"
        if not copy.exists():
            draft = copy.with_suffix(f".{os.getpid()}")
            for part in parts:
                shutil.copytree(folder / part, draft / part)
            draft.replace(copy)
        return copy

    def _reads(self, path: Path) -> bool:
        probe = [*self.prefix, "test", "-r", str(path), "-a", "-x", str(path)]
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def way_for(folder: Path) -> Unprivileged:
    """Return the way to run PostgreSQL on a folder: the one it was made with, else the best one."""
    return by_account() if folder.is_symlink() else unprivileged()


@functools.cache
def unprivileged() -> Unprivileged:
    """Return the way this user can run PostgreSQL.

    Raises LocalServerError when root may neither use a user namespace nor switch to an account.
    """
    if os.geteuid() != 0:
        return Unprivileged()
    if shutil.which("unshare") and _works(_NAMESPACE):
        return Unprivileged(prefix=_NAMESPACE)
    return by_account()


def by_account() -> Unprivileged:
    """Return the way through an unprivileged account, for root where user namespaces are not allowed."""
    for name in _ACCOUNTS:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        prefix = ("setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--")
        if _works(prefix):
            _REACHABLE.mkdir(parents=True, exist_ok=True)
            _REACHABLE.chmod(0o711)
            return Unprivileged(prefix=prefix, account=account)
    raise LocalServerError(
        "PostgreSQL does not run as root: run as an ordinary user, or allow user namespaces "
        "(sysctl user.max_user_namespaces)"
    )


def _works(prefix: tuple[str, ...]) -> bool:
    try:
        return subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
