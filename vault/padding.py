"""Pads a plaintext to one of few sizes, so that a ciphertext's length says little about what is in it.

Sizes in bytes: 256, 384, 512, 768, 1024, 1536, … (powers of two and the halves between them), so at most half again
of the plaintext is added past 256, and 393,216 bytes fall into 22 classes. One byte 0x80 follows the plaintext, then
zeros (ISO/IEC 7816-4): there is always a marker, so there is exactly one way to take the padding off.
"""

from __future__ import annotations

from domain.errors import EventTooLarge, Tampered

SMALLEST = 256
LARGEST = 384 * 1024
_MARK = b"\x80"


def size_class(length: int) -> int:
    """Return the smallest class that holds ``length`` bytes and the marker. Raises ``EventTooLarge`` past the last."""
    needed = length + 1
    if needed > LARGEST:
        raise EventTooLarge(length, LARGEST - 1)
    if needed <= SMALLEST:
        return SMALLEST
    power = 1 << (needed - 1).bit_length()
    return power * 3 // 4 if needed <= power * 3 // 4 else power


def pad(plaintext: bytes) -> bytes:
    """Return the plaintext, the marker and zeros up to its size class. Raises ``EventTooLarge``."""
    return (plaintext + _MARK).ljust(size_class(len(plaintext)), b"\0")


def unpad(padded: bytes) -> bytes:
    """Return what :func:`pad` padded. Raises ``Tampered`` when the bytes are not exactly what it would have made."""
    plaintext, mark, zeros = padded.rpartition(_MARK)
    if not mark or zeros.strip(b"\0") or len(padded) > LARGEST or len(padded) != size_class(len(plaintext)):
        raise Tampered("padding does not fit")
    return plaintext
