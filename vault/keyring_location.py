"""Where a keyring is, as the setting says it: folders (``file:/a,file:/b``) or one token (a PKCS #11 URI, RFC 7512).

A PIN is never part of a setting, which processes and logs show to others: the URI names the file that holds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from domain.errors import SettingInvalid

_FORMS = "must be file:/folder, or file:/a,file:/b, or pkcs11:token=NAME?module-path=/library.so&pin-source=file:/pin"
_SELECTING = ("token", "serial", "manufacturer", "model")


@dataclass(frozen=True)
class Folders:
    """A keyring of files: one folder, or replicas that hold the same keys."""

    folders: tuple[Path, ...]

    def __str__(self) -> str:
        return ",".join(f"file:{folder}" for folder in self.folders)


@dataclass(frozen=True)
class Token:
    """A keyring in a PKCS #11 token: the device's library, the file of the user's PIN, and what the token says it is.

    ``token`` is its label; of the others those are compared that are not empty.
    """

    module: Path
    pin_source: Path
    token: str
    serial: str = ""
    manufacturer: str = ""
    model: str = ""

    def __str__(self) -> str:
        said = ";".join(f"{name}={quote(value)}" for name in _SELECTING if (value := getattr(self, name)))
        return f"pkcs11:{said}?module-path={quote(str(self.module))}&pin-source=file:{quote(str(self.pin_source))}"


KeyringLocation = Folders | Token


def parse(text: str, setting: str) -> KeyringLocation:
    """Return what a setting's text means. Raises ``SettingInvalid`` that names the setting and shows none of its text.

    Replicas are folders: a key that cannot leave its device cannot be the same in another one.
    """
    if "pkcs11:" in text:
        if not text.startswith("pkcs11:") or any(form in text for form in (",file:", ",pkcs11:")):
            raise SettingInvalid(
                f"{setting}: a device stands alone, replicas must be folders (replicate it by its own means)"
            )
        return _token(text.removeprefix("pkcs11:"), setting)
    folders = []
    for part in text.split(","):
        scheme, _, folder = part.partition(":")
        if scheme != "file" or not folder:
            raise SettingInvalid(f"{setting} {_FORMS}")
        folders.append(Path(folder))
    if len({folder.resolve() for folder in folders}) != len(folders):
        raise SettingInvalid(f"{setting} names one folder twice")
    return Folders(tuple(folders))


def _token(text: str, setting: str) -> Token:
    path, _, query = text.partition("?")
    selecting, other = _attributes(path, ";", setting), _attributes(query, "&", setting)
    if "pin-value" in other or "pin-value" in selecting:
        raise SettingInvalid(f"{setting} must not hold a PIN: put it in a file and name that as pin-source=file:/path")
    if (selecting.keys() - set(_SELECTING)) or (other.keys() - {"module-path", "pin-source"}):
        # The name is not repeated: mistyped, it could be a PIN.
        known = ", ".join((*_SELECTING, "module-path", "pin-source"))
        raise SettingInvalid(f"{setting} has an attribute that cannot be used here; there are {known}")
    for name, found in (("token", selecting), ("module-path", other), ("pin-source", other)):
        if not found.get(name):
            raise SettingInvalid(f"{setting} lacks {name}: it {_FORMS}")
    source = other["pin-source"].removeprefix("file:")
    if source.startswith("///"):
        # file:///path is the longer form of the same (RFC 8089).
        source = source[2:]
    if any(not path.startswith("/") or path.startswith("//") for path in (source, other["module-path"])):
        raise SettingInvalid(f"{setting}: module-path must be /a/path, pin-source file:/a/path")
    return Token(Path(other["module-path"]), Path(source), **selecting)


def _attributes(text: str, separator: str, setting: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, text.split(separator)):
        name, equals, value = part.partition("=")
        if not equals or name in found:
            raise SettingInvalid(f"{setting} is no PKCS #11 URI (RFC 7512)")
        found[name] = unquote(value)
    return found
