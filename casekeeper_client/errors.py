"""Every exception the client raises on purpose.

::

    CasekeeperClientError
    ├── NotPublished           Kafka did not take the message in time: publish again with the same message id
    ├── NoOutcome              no outcome came in time: wait on, or publish again with the same message id
    │   └── OutcomeKeysUnavailable   something came that cannot be verified now: the same
    ├── InboxKeyUnavailable    the key to encrypt to cannot be fetched
    ├── InvalidKey             a key is not of the kind it must be
    └── MessageTooLarge        the message is larger than the inbox takes

Publishing again with the same message id is always safe: the command is carried out once.
"""

from __future__ import annotations

from collections.abc import Sequence


class CasekeeperClientError(Exception):
    """Base of the client's exceptions. No text carries anything out of a message."""


class NotPublished(CasekeeperClientError):
    """Kafka did not take these messages in time; it may have taken some. ``message_ids`` in the order given."""

    def __init__(self, message_ids: Sequence[str]) -> None:
        super().__init__(f"{len(message_ids)} messages not acknowledged by Kafka")
        self.message_ids = tuple(message_ids)


class NoOutcome(CasekeeperClientError):
    """No outcome came in time for these messages."""

    def __init__(self, message_ids: Sequence[str]) -> None:
        super().__init__(f"no outcome for {len(message_ids)} messages")
        self.message_ids = tuple(message_ids)


class OutcomeKeysUnavailable(NoOutcome):
    """For one of these messages something came, and the keys to verify it with cannot be fetched now."""


class InboxKeyUnavailable(CasekeeperClientError):
    """The service's current inbox key cannot be fetched, or what was fetched is none."""


class InvalidKey(CasekeeperClientError):
    """A key is not of the kind it must be, as an Ed25519 private key or an X25519 public key, or was not given."""


class MessageTooLarge(CasekeeperClientError):
    """A message is larger than the inbox takes (sizes in bytes)."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"message of {size} bytes, limit {limit}")
        self.size = size
        self.limit = limit
