"""What people are found by: the fields, and the one form that different spellings of the same value come to.

Folding joins only what is the same value to whoever looks for a person (Unicode 3.13 and TR 15): letter
case, compatibility forms (full-width letters, ligatures), accents on Latin and Greek letters, optional vowel points of
Arabic and Hebrew, spaces and punctuation. It guesses nothing: no nicknames, no sounds, no ``ue`` for ``ü``, no country
of a telephone number. A mark that makes another letter of another sound (й, が, Indic vowel signs) is kept.

Whoever changes a rule here raises the version of the view ``search_index``, which is then built anew.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

IDENTITY_FIELDS = ("given_name", "family_name", "birth_date", "email", "phone")
"""Fields of a person's identity that they are found by."""
RECORD_NUMBER = "record_number"
"""The number under which an insurer knows the person: ``member_number`` of an intake's insurance."""
FIELDS = (*IDENTITY_FIELDS, RECORD_NUMBER)
STRONG = frozenset({"email", "phone", RECORD_NUMBER})
"""Fields of which one is enough to search by; of the others it takes two."""

PHONE_DIGITS = 8
"""How many digits at the end of a telephone number are its term: the same with and without country and trunk code."""
_SHORTEST_PHONE = 6
"""Fewest digits that a number without a country code must have to be found as the end of a longer one."""

_LETTERS = str.maketrans(
    {"ı": "i", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "æ": "ae", "œ": "oe", "þ": "th"}  # noqa: RUF001
)
"""Letters that Unicode takes apart no further, and keyboards elsewhere lack."""
_ACCENTS = range(0x0300, 0x0370)
_POINTS = re.compile("[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670]")
"""Points of Hebrew and Arabic that are mostly left out in writing, the tatweel, and hamza and madda above an alef."""
_APOSTROPHES = re.compile("[\u02b9-\u02bf\u02c8\u02ee\ua78b\ua78c]")
"""What Unicode counts as a letter or symbol and people type as an apostrophe."""
_EXTENSION = re.compile(r"[x#,;]")
_TRUNK = re.compile(r"\(0+\)")
_MOST_ROUNDS = 8


def term(field: str, value: str) -> str:
    """Return the form of a value that is compared; never empty for a value that is not.

    Raises ``KeyError`` for a field that nobody is found by.
    """
    return _TERMS[field](value)


def terms_of_identity(identity: Mapping[str, Any]) -> dict[str, str]:
    """Return field → term for what there is in an opened identity."""
    given = ((field, identity.get(field)) for field in IDENTITY_FIELDS)
    return {field: term(field, value) for field, value in given if isinstance(value, str) and value}


def terms_of_insurance(insurance: Mapping[str, Any]) -> dict[str, str]:
    """Return field → term for what there is in an intake's opened insurance."""
    number = insurance.get("member_number")
    return {RECORD_NUMBER: term(RECORD_NUMBER, number)} if isinstance(number, str) and number else {}


def matches(asked: Mapping[str, str], identity: Mapping[str, Any], insurances: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether a person is who was asked for, every field given being compared as it was written.

    This is asked of opened values, because an index entry says less than the value: other people may share it.
    """
    numbers = {terms_of_insurance(insurance).get(RECORD_NUMBER) for insurance in insurances}
    found = terms_of_identity(identity)
    for field, value in asked.items():
        if field == RECORD_NUMBER:
            same = term(field, value) in numbers
        elif field == "phone":
            same = field in found and _same_phone(value, identity[field])
        else:
            same = found.get(field) == term(field, value)
        if not same:
            return False
    return True


def _name(value: str) -> str:
    if value.isascii():
        # What folding comes to where there is nothing but ASCII, at a tenth of the time.
        return "".join(filter(str.isalnum, value.lower())) or _plain(value)
    return _settled(value, _fold_name) or _plain(value)


def _fold_name(value: str) -> str:
    text = unicodedata.normalize("NFKC", value).casefold().translate(_LETTERS)
    text = _POINTS.sub("", unicodedata.normalize("NFKD", text))
    kept: list[str] = []
    base = ""
    for character in _APOSTROPHES.sub("", text):
        if ord(character) in _ACCENTS:
            if _tells_letters_apart(base, character):
                kept.append(character)
            continue
        base = character
        if unicodedata.category(character)[0] in "LNM":
            kept.append(character)
    return unicodedata.normalize("NFKC", "".join(kept))


def _tells_letters_apart(base: str, accent: str) -> bool:
    """Return whether an accent makes another letter: on Cyrillic it does, but for the dots of io, mostly left out."""
    return "\u0400" <= base <= "\u052f" and (base, accent) != ("е", "\u0308")  # noqa: RUF001


def _email(value: str) -> str:
    """Return an address with its domain in the ASCII form (RFC 3490), its mailbox in lower case and otherwise as is."""
    mailbox, _, domain = _plain(value).rpartition("@")
    with suppress(UnicodeError):
        domain = domain.encode("idna").decode("ascii").lower()
    return f"{mailbox}@{domain.rstrip('.')}"


def _phone(value: str) -> str:
    return _digits(value)[-PHONE_DIGITS:] or _plain(value)


def _digits(value: str) -> str:
    number = _EXTENSION.split(_TRUNK.sub("", _plain(value)), maxsplit=1)[0]
    return "".join(str(unicodedata.digit(character)) for character in number if character.isdecimal())


def _same_phone(one: str, other: str) -> bool:
    if term("phone", one) != term("phone", other):
        return False
    (first, abroad), (second, also_abroad) = sorted((_national(one), _national(other)), key=lambda n: len(n[0]))
    if abroad and also_abroad:
        return first == second
    if abroad or not first.isdecimal() or len(first) < _SHORTEST_PHONE:
        return first == second
    return second.endswith(first)


def _national(value: str) -> tuple[str, bool]:
    """Return a number without the zeros before it, and whether a country code is in it."""
    digits = _digits(value) or _plain(value)
    abroad = _plain(value).startswith("+") or digits.startswith("00")
    return digits.lstrip("0") or digits, abroad


def _number(value: str) -> str:
    return "".join(character for character in _plain(value) if character.isalnum()) or _plain(value)


def _plain(value: str) -> str:
    """Return text without differences of case, compatibility form and space."""
    if value.isascii():
        return "".join(value.lower().split())
    return _settled(value, lambda text: "".join(unicodedata.normalize("NFKC", text).casefold().split()))


def _settled(value: str, fold: Callable[[str], str]) -> str:
    """Fold until nothing changes any more: folding case may undo a normal form, and the other way round."""
    for _ in range(_MOST_ROUNDS):
        folded = fold(value)
        if folded == value:
            break
        value = folded
    return value


_TERMS: Mapping[str, Callable[[str], str]] = {
    "given_name": _name,
    "family_name": _name,
    "birth_date": _plain,
    "email": _email,
    "phone": _phone,
    RECORD_NUMBER: _number,
}
