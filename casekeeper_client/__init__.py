"""What another service installs to put commands on casekeeper's inbox and learn what became of them.

Needs ``kafka-python``, ``lz4`` and ``joserfc``, and nothing of the service itself.

Example::

    from casekeeper_client import Accepted, Client

    with Client(
        bootstrap="kafka:9092",
        inbox_key="https://casekeeper.example/v1/inbox-key",
        publisher_id="0b9a…",            # printed by: casekeeper actors add
        private_key=my_private_jwk,      # made once with new_key_pair()
    ) as client:
        message_id = client.open_case(subject_id=person, kind="second_opinion")
        outcome = client.wait_for_outcome(message_id, timeout=10)
        if isinstance(outcome, Accepted):
            print(outcome.id, outcome.position)
        else:
            print(outcome.title)
"""

from casekeeper_client.client import Client
from casekeeper_client.errors import (
    CasekeeperClientError,
    InboxKeyUnavailable,
    InvalidKey,
    MessageTooLarge,
    NoOutcome,
    NotPublished,
    OutcomeKeysUnavailable,
)
from casekeeper_client.outcome_types import Accepted, Outcome, Rejected
from casekeeper_client.sealing import new_key_pair

__all__ = [
    "Accepted",
    "CasekeeperClientError",
    "Client",
    "InboxKeyUnavailable",
    "InvalidKey",
    "MessageTooLarge",
    "NoOutcome",
    "NotPublished",
    "Outcome",
    "OutcomeKeysUnavailable",
    "Rejected",
    "new_key_pair",
]
