"""Sealing and opening 1 KiB, everything included, beside the bare calls of ``cryptography`` it cannot do without."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bench.figures import Figure, Result, Run
from domain.sealed import Binding
from vault.primitives import SecretKey
from vault.sealing import SealedValue, event_key, seal, unseal

SECONDS = 0.5
SEALING = Figure("seal and open 1 KiB", "pairs/s", 0.5, note="the bare calls: HKDF, HMAC, AES-256-GCM, twice each")
FIGURES = (SEALING,)


def measure(run: Run) -> Iterator[Result]:
    """Yield pairs of seal and open per second."""
    data_key, scope_id = SecretKey.new(), uuid4()
    binding = Binding(uuid4(), uuid4(), uuid4(), "NoteAdded", 1, "note")
    value = {"text": "x" * 1000}

    def ours() -> None:
        text = seal(event_key(data_key, binding), scope_id, binding, value)
        unseal(event_key(data_key, binding), SealedValue.parse(text), binding)

    raw, plain, associated = os.urandom(32), os.urandom(1024), os.urandom(200)

    def peer() -> None:
        for encrypting in (True, False):
            key = HKDF(hashes.SHA256(), 32, None, b"info").derive(raw)
            mac = hmac.HMAC(key, hashes.SHA256())
            mac.update(associated)
            mac.finalize()
            nonce = b"\0" * 12
            if encrypting:
                sealed = AESGCM(key).encrypt(nonce, plain, associated)
            else:
                AESGCM(key).decrypt(nonce, sealed, associated)

    yield SEALING.alternate(lambda: _rate(ours), lambda: _rate(peer), run.rounds)


def _rate(once: Callable[[], None]) -> float:
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        once()
        done += 1
    return done / (time.perf_counter() - started)
