"""Card data never enters an event: numbers and security codes are refused at the edge (PCI DSS 3.3.1)."""

from __future__ import annotations

import re

from marshmallow import ValidationError

_DIGITS = re.compile(r"(?<!\d)(?:\d[ -]?){12,18}\d(?!\d)")
_SECURITY_CODE = re.compile(
    r"\b(?:cvv2?|cvc2?|cav2|card security code|security code)\b\W{0,3}(?:is\W{0,2})?\d{3,4}\b", re.I
)


def refuse_card_data(text: str) -> None:
    """Raise ``ValidationError`` when free text holds a payment card number or a card security code."""
    if any(_is_card_number(re.sub(r"[ -]", "", match)) for match in _DIGITS.findall(text)):
        raise ValidationError("looks like a payment card number, which is never stored")
    if _SECURITY_CODE.search(text):
        raise ValidationError("looks like a card security code, which is never stored")


def _is_card_number(digits: str) -> bool:
    """Return whether digits have a card's prefix and check digit (ISO/IEC 7812, Luhn)."""
    if digits[0] not in "3456" or len(set(digits)) == 1:
        return False
    doubled = [int(d) for d in reversed(digits)]
    total = sum(d if i % 2 == 0 else (2 * d - 9 if d > 4 else 2 * d) for i, d in enumerate(doubled))
    return total % 10 == 0
