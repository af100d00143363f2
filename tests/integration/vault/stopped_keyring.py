"""A keyring whose process is stopped at one of its calls while something else happens."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from vault_keys import Keys

from vault.file_keyring import FileKeyring
from vault.keyring import RootRef
from vault.primitives import SecretKey


class StoppedKeyring(FileKeyring):
    """Calls ``meanwhile`` once, "before" or "after" the first call of one method."""

    def __init__(self, keys: Keys, call: str, when: str, meanwhile: Callable[[], object]) -> None:
        [(installation_id,)] = keys.sql("SELECT installation_id FROM key_root")
        super().__init__(keys.folder, UUID(str(installation_id)))
        self._at = (call, when)
        self._meanwhile = meanwhile
        self.was_stopped = False

    def create_root(self, epoch: int) -> RootRef:
        self._stop("create_root", "before")
        ref = super().create_root(epoch)
        self._stop("create_root", "after")
        return ref

    def load_root(self, ref: RootRef) -> SecretKey:
        self._stop("load_root", "before")
        key = super().load_root(ref)
        self._stop("load_root", "after")
        return key

    def destroy_root(self, ref: RootRef) -> None:
        self._stop("destroy_root", "before")
        super().destroy_root(ref)
        self._stop("destroy_root", "after")

    def roots(self) -> list[RootRef]:
        self._stop("roots", "before")
        found = super().roots()
        self._stop("roots", "after")
        return found

    def _stop(self, *at: str) -> None:
        if at == self._at and not self.was_stopped:
            self.was_stopped = True
            self._meanwhile()
