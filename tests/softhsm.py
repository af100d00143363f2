"""SoftHSM2 for tests: a folder of tokens of their own, that this process and its children use."""

from __future__ import annotations

import os
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

from vault.keyring_location import Token

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "2468-abcd"


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
        return Token(MODULE, pin_source, label)

    def files_of(self, token: Token) -> Path:
        """Return the folder with the token's objects."""
        label = token.token.encode()
        [found] = [path.parent for path in self.tokens.glob("*/token.object") if label in path.read_bytes()]
        return found
