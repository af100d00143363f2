"""The keyrings of what tests install: files, two replicas of them, or a token of SoftHSM2.

``CASEKEEPER_TEST_KEYRING`` says which (``file``, ``replicas`` or ``pkcs11``), for the whole session. Tests about one
kind of keyring make it themselves, whatever that says.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from application.settings import variable
from tests.softhsm import SoftHsm
from vault.keyring_location import Folders, KeyringLocation, Token

KIND = os.environ.get("CASEKEEPER_TEST_KEYRING", "file")

of_files = pytest.mark.skipif(KIND != "file", reason="reads or changes the files of one file keyring by hand")

_tokens: dict[Path, Token] = {}


def location_for(folder: Path) -> KeyringLocation:
    """Return where the keyring is that would be in this folder, were it of files; the first call makes a token."""
    if KIND == "replicas":
        return Folders((folder / "first", folder / "second"))
    if KIND == "pkcs11":
        if folder not in _tokens:
            _tokens[folder] = SoftHsm.in_use().new_token()
        return _tokens[folder]
    return Folders((folder,))


def setting_for(home: Path) -> dict[str, str]:
    """Return the variable that gives a home its keyring; none for files, which it has where it says nothing."""
    return {} if KIND == "file" else {variable("keyring"): str(location_for(home / "keyring"))}


def files_of(location: KeyringLocation) -> Path:
    """Return the folder with a keyring's files, whoever's: one folder's, both replicas', or those of the token."""
    if isinstance(location, Token):
        return SoftHsm.in_use().files_of(location)
    first, *others = location.folders
    return first.parent if others else first


def mend_after_kill() -> None:
    """Have the keyrings as they were before a process was killed: SoftHSM2 needs it, see ``SoftHsm.mend``."""
    if KIND == "pkcs11":
        SoftHsm.in_use().mend()
