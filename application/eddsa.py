"""The one signature algorithm: EdDSA (RFC 8037), in what we sign and in tokens and messages from outside."""

from __future__ import annotations

from joserfc import jws
from joserfc.errors import UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import OKPKey
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


def signed(payload: str | bytes, media_type: str, key: OKPKey) -> str:
    """Return a compact JWS (RFC 7515) whose header names algorithm, the key's thumbprint and the type, nothing else."""
    header = {"alg": ALGORITHM, "kid": key.thumbprint(), "typ": media_type}
    return jws.serialize_compact(header, payload, key, registry=PinnedAlgorithm())
