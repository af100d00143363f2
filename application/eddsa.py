"""The one signature algorithm taken from outside, in tokens and inbox messages: EdDSA (RFC 8037)."""

from __future__ import annotations

from joserfc.errors import UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jws import JWSRegistry

ALGORITHM = "EdDSA"


class PinnedAlgorithm(JWSRegistry):
    """Knows EdDSA and nothing else.

    RFC 9864 renames EdDSA to Ed25519, of which the library warns at each use; identity providers and publishers still
    write EdDSA, and here the key fixes the curve.
    """

    def __init__(self, max_payload_bytes: int = JWSRegistry.max_payload_length) -> None:
        super().__init__()
        self.max_payload_length = max_payload_bytes

    def get_alg(self, name: str) -> JWSAlgModel:
        """Return the one algorithm. Raises ``UnsupportedAlgorithmError`` for any other name."""
        if name != ALGORITHM:
            raise UnsupportedAlgorithmError
        return self.algorithms[ALGORITHM]
