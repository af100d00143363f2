"""Card data never enters an event: numbers and security codes are refused at the edge (PCI DSS 3.3.1)."""

from __future__ import annotations

import re
import unicodedata

from marshmallow import ValidationError

_DIGITS = re.compile(r"\d(?:[\W_]{0,3}\d){12,}")
_SECURITY_CODE = re.compile(
    r"\b(?:cvv2?|cvc2?|cav2|csc|cid|security code)\b(?:\W{0,3}(?:code|number|no|is|was)\b){0,3}\W{0,3}\d{3,4}\b", re.I
)
_LENGTHS = (14, 15, 16)


def refuse_card_data(text: str) -> None:
    """Raise ``ValidationError`` when text holds a payment card number or a card security code, however it is spaced."""
    plain = unicodedata.normalize("NFKC", text)
    for run in _DIGITS.findall(plain):
        digits = re.sub(r"\D", "", run)
        if any(_is_card_number(digits[i : i + n]) for n in _LENGTHS for i in range(len(digits) - n + 1)):
            raise ValidationError("looks like a payment card number, which is never stored")
    if _SECURITY_CODE.search(plain):
        raise ValidationError("looks like a card security code, which is never stored")


def _is_card_number(digits: str) -> bool:
    """Return whether digits have the length and prefix of a card brand and a check digit (ISO/IEC 7812, Luhn)."""
    if not _BRANDS.fullmatch(digits) or len(set(digits)) == 1:
        return False
    doubled = [int(d) for d in reversed(digits)]
    total = sum(d if i % 2 == 0 else (2 * d - 9 if d > 4 else 2 * d) for i, d in enumerate(doubled))
    return total % 10 == 0


_BRANDS = re.compile(
    r"4\d{15}"  # Visa
    r"|5[1-5]\d{14}|2(22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"  # Mastercard
    r"|3[47]\d{13}|3(0[0-5]|[689]\d)\d{11}"  # American Express, Diners
    r"|(6011|65\d\d|64[4-9]\d)\d{12}|62\d{14}|35(2[89]|[3-8]\d)\d{12}"  # Discover, UnionPay, JCB
)
