"""SoftHSM2 for tests: a folder of tokens of their own, that this process and its children use."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from vault.keyring_location import Token

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "2468-abcd"
OWN_FILE = "token.object"
LOGIN_SECONDS = 0.2
"""For how long, at most, the own file is empty while somebody logs in."""


@dataclass(frozen=True)
class SoftHsm:
    """A folder with SoftHSM2's settings and tokens."""

    folder: Path

    @classmethod
    def in_use(cls) -> SoftHsm:
        """Return the one that was started in this process, or in the one that started it."""
        return cls(Path(os.environ["SOFTHSM2_CONF"]).parent)

    def start(self) -> None:
        """Make the folder the one that SoftHSM2 uses in this process, and in those it starts."""
        self.tokens.mkdir(parents=True)
        self._kept.mkdir()
        settings = self.folder / "softhsm2.conf"
        settings.write_text(f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        os.environ["SOFTHSM2_CONF"] = str(settings)

    @property
    def tokens(self) -> Path:
        """Return the folder that holds a folder for each token."""
        return self.folder / "tokens"

    def new_token(self) -> Token:
        """Return a new, empty token with a user PIN."""
        label = f"test-{secrets.token_hex(4)}"
        command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "officer1"]
        subprocess.run(command, check=True, capture_output=True)
        pin_source = self.folder / f"{label}.pin"
        pin_source.write_text(f"{PIN}\n")
        pin_source.chmod(0o600)
        token = Token(MODULE, pin_source, label)
        files = self.files_of(token)
        shutil.copy(files / OWN_FILE, self._kept / files.name)
        return token

    def mend(self) -> None:
        """Put back the own file of tokens that lost it: each login empties it and writes it again, unless killed."""
        lost = self._lost()
        if lost:
            time.sleep(LOGIN_SECONDS)
        for name in lost & self._lost():
            shutil.copy(self._kept / name, self.tokens / name / OWN_FILE)

    def _lost(self) -> set[str]:
        own = [self.tokens / kept.name / OWN_FILE for kept in self._kept.iterdir()]
        return {file.parent.name for file in own if file.exists() and not file.stat().st_size}

    @property
    def _kept(self) -> Path:
        return self.folder / "kept"

    def files_of(self, token: Token) -> Path:
        """Return the folder with the token's objects."""
        label = token.token.encode()
        [found] = [path.parent for path in self.tokens.glob(f"*/{OWN_FILE}") if label in path.read_bytes()]
        return found
