"""A PKCS #11 token as this process reaches it: one library, one login, one call at a time.

python-pkcs11 starts a library as one that is used by one thread at a time (``C_Initialize(NULL)``, PKCS #11 2.40, 5.4),
and SoftHSM2 then ends the process when two threads are in it, even with two tokens. So there is one lock for all
that any thread of the process does with any device; it is held across ``fork`` too, and a child starts the library anew
before it uses it, as the standard asks.

What a library remembers can be out of date: SoftHSM2 goes on saying that a key is gone after its files were out of
reach for a moment. So nothing is called missing before the library was started afresh and says so again.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pkcs11
from pkcs11 import PKCS11Error, Session

from domain.errors import KeysUnavailable
from vault.keyring import KeyMissing
from vault.keyring_location import Token

T = TypeVar("T")

_SAID: dict[type[PKCS11Error], str] = {
    pkcs11.DeviceMemory: "the device is full",
    pkcs11.DeviceRemoved: "the device was removed",
    pkcs11.PinExpired: "the device's PIN has expired",
    pkcs11.PinIncorrect: "the device refused the PIN",
    pkcs11.PinInvalid: "the device refused the PIN",
    pkcs11.PinLenRange: "the device refused the PIN",
    pkcs11.PinLocked: "the device has locked the PIN: unlock it as its security officer",
    pkcs11.SessionCount: "the device takes no more sessions",
    pkcs11.SessionReadOnly: "the device is write-protected",
    pkcs11.TokenNotPresent: "the token is not in the device",
    pkcs11.TokenWriteProtected: "the device is write-protected",
    pkcs11.UserPinNotInitialized: "the token has no user PIN yet",
}
_REFUSED = (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange, pkcs11.PinLocked, pkcs11.PinExpired)
_NOT_HELPED = (*_REFUSED, pkcs11.DeviceMemory, pkcs11.TokenWriteProtected, pkcs11.SessionReadOnly)
"""Errors that starting the library afresh does not help."""

_PAUSES = (0.02, 0.06, 0.18)
"""Seconds before the library is started afresh again: SoftHSM2 misses a token that another process just logs in to."""


class _Process:
    """What this process has of all devices; touched only under ``lock``."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.pid = os.getpid()
        self.libraries: dict[Path, Any] = {}
        self.sessions: dict[Token, Session] = {}
        self.refused: dict[Token, tuple[int, int, int]] = {}
        self.sound = True
        self.view = 0
        """Counts how often a library was started: an object's handle of an earlier time may name another object now."""


_here = _Process()
os.register_at_fork(before=_here.lock.acquire, after_in_parent=_here.lock.release, after_in_child=_here.lock.release)


class Device:
    """One token. Methods raise ``KeysUnavailable``, whose text says what is wrong with the device and no PIN."""

    def __init__(self, location: Token) -> None:
        self._location = location

    def run(self, work: Callable[[Session, int], T], *, fresh: bool = False) -> T:
        """Return what work does with a session that is logged in, and the number of the view it sees objects in.

        ``fresh``: the library is started anew before. Otherwise that is done, and the work repeated, when the device
        fails or a key is missing; so it must be safe to repeat. ``KeyMissing`` passes through when it stands.
        """
        pauses = iter(_PAUSES)
        while True:
            try:
                with _here.lock:
                    return self._run(work, fresh)
            except PKCS11Error as error:
                pause = None if isinstance(error, _NOT_HELPED) else next(pauses, None)
                if pause is None:
                    raise KeysUnavailable(
                        _SAID.get(type(error), f"the device failed ({type(error).__name__})")
                    ) from None
            fresh = True
            time.sleep(pause)

    def _run(self, work: Callable[[Session, int], T], fresh: bool) -> T:
        if not fresh and _here.sound and _here.pid == os.getpid():
            try:
                return work(self._session(), _here.view)
            except _NOT_HELPED:
                raise
            except (PKCS11Error, KeyMissing):
                pass
        _start_afresh()
        try:
            return work(self._session(), _here.view)
        except PKCS11Error:
            # After a write that failed, SoftHSM2 no longer shows the object, which is there.
            _here.sound = False
            raise

    def _session(self) -> Session:
        if self._location not in _here.sessions:
            _here.sessions[self._location] = self._login()
        return _here.sessions[self._location]

    def _login(self) -> Session:
        pin, written = self._pin()
        if _here.refused.get(self._location) == written:
            # Devices lock a PIN after a few wrong ones: the same is never tried twice.
            raise KeysUnavailable("the device refused the PIN: correct the file that pin-source names")
        try:
            return self._token().open(rw=True, user_pin=pin)
        except _REFUSED:
            _here.refused[self._location] = written
            raise

    def _pin(self) -> tuple[str, tuple[int, int, int]]:
        path = self._location.pin_source
        try:
            found = path.stat()
            pin = path.read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            raise KeysUnavailable("the file of the device's PIN cannot be read: see pin-source") from None
        return pin, (found.st_ino, found.st_mtime_ns, found.st_size)

    def _token(self) -> pkcs11.Token:
        found: list[pkcs11.Token] = []
        for slot in _library(self._location.module).get_slots(token_present=True):
            # One slot that is out of order does not keep the others from being used.
            with suppress(PKCS11Error):
                token = slot.get_token()
                if _fits(token, self._location):
                    found.append(token)
        if not found:
            raise pkcs11.TokenNotPresent
        if len(found) > 1:
            raise KeysUnavailable("more than one token fits: name its serial, too")
        return found[0]


def _fits(token: pkcs11.Token, location: Token) -> bool:
    said = (token.label, token.serial.decode(errors="replace"), token.manufacturer_id, token.model)
    wanted = (location.token, location.serial, location.manufacturer, location.model)
    return all(one in ("", other.strip()) for one, other in zip(wanted, said, strict=True))


def _library(module: Path) -> Any:
    if module not in _here.libraries:
        if not module.exists():
            raise KeysUnavailable("the device's library is not there: see module-path")
        try:
            _here.libraries[module] = pkcs11.lib(str(module))
        except (PKCS11Error, OSError):
            raise KeysUnavailable(
                "the device's library cannot be started: see module-path and its own settings"
            ) from None
    return _here.libraries[module]


def _start_afresh() -> None:
    """Start every library again: whatever it remembered, and what a parent process had of it, is gone."""
    _here.sessions.clear()
    _here.view += 1
    _here.pid = os.getpid()
    _here.sound = True
    for library in _here.libraries.values():
        with suppress(PKCS11Error):
            library.finalize()
        library.initialize()
