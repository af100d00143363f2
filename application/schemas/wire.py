"""Field types of the wire schemas: bounded text without control characters, words of closed lists, dates, instants."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, time
from functools import cache
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from marshmallow import RAISE, Schema, ValidationError, fields

from application.schemas.cards import refuse_card_data
from domain.registry import ACTOR_ID, LANGUAGE, POLICY_VERSION

_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_UUID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_EARLIEST, _LATEST = 1900, 9998
_PARTIAL_DATE = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?")


class WireSchema(Schema):
    """A schema that refuses unknown fields."""

    class Meta:
        """Refuse what is not declared (data minimisation, policy clause 1.1)."""

        unknown = RAISE

    error_messages: dict[str, str] = {"unknown": "unknown field", "type": "must be an object"}  # noqa: RUF012


class Text(fields.Field[str]):
    """Text of 1 to ``longest`` characters, some of them visible, and without card data, which never enters an event."""

    def __init__(self, longest: int, **kwargs: Any) -> None:
        super().__init__(metadata={"maxLength": longest}, **kwargs)
        self.longest = longest

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise ValidationError("must be text")
        if not any(unicodedata.category(character)[0] in "LNPSM" for character in value):
            raise ValidationError("must not be empty")
        if len(value) > self.longest:
            raise ValidationError(f"must be at most {self.longest} characters")
        if _FORBIDDEN.search(value):
            raise ValidationError("contains a control character, a direction mark or an unpaired surrogate")
        refuse_card_data(value)
        return value


class Word(fields.Field[str]):
    """One word of a closed list."""

    def __init__(self, words: Collection[str], **kwargs: Any) -> None:
        super().__init__(metadata={"enum": sorted(words)}, **kwargs)
        self.words = frozenset(words)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise ValidationError("must be one of " + ", ".join(sorted(self.words)))
        return value


class Identifier(fields.Field[UUID]):
    """A UUID in its canonical text form."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"format": "uuid"}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> UUID:
        if not isinstance(value, str) or not _UUID.fullmatch(value):
            raise ValidationError("must be a UUID")
        return UUID(value)


class PartialDate(fields.Field[str]):
    """An ISO 8601 date of year, month or day precision."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str) or not _PARTIAL_DATE.fullmatch(value):
            raise ValidationError("must be a date as YYYY, YYYY-MM or YYYY-MM-DD")
        try:
            datetime.strptime(value, "%Y-%m-%d"[: {4: 2, 7: 5, 10: 8}[len(value)]]).replace(tzinfo=UTC)
        except ValueError:
            raise ValidationError("is not a day of the calendar") from None
        return value


class BirthDate(PartialDate):
    """A date of birth: not in the future."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if text > datetime.now(UTC).strftime("%Y-%m-%d")[: len(text)] or text < "1850":
            raise ValidationError("must be a date of birth between 1850 and today")
        return text


class Instant(fields.Field[datetime]):
    """An RFC 3339 time with an offset, or a date: its start, or with ``end_of_day`` the end of that day, in UTC."""

    def __init__(self, *, end_of_day: bool = False, **kwargs: Any) -> None:
        super().__init__(metadata={"format": "date-time"}, **kwargs)
        self.end_of_day = end_of_day

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> datetime:
        if not isinstance(value, str) or len(value) > 40 or not value.isascii():
            return _refuse("must be a time as RFC 3339 with an offset, or a date")
        try:
            if len(value) == 10:
                day = datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC)
                moment = datetime.combine(day, time.max, UTC) if self.end_of_day else day
            else:
                moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                return _refuse("must have an offset")
            moment = moment.astimezone(UTC)
            return moment if _EARLIEST <= moment.year <= _LATEST else _refuse("must lie between 1900 and 9998")
        except (ValueError, OverflowError):
            return _refuse("must be a time as RFC 3339 with an offset, or a date")


class LanguageTag(fields.Field[str]):
    """An ISO 639-1 language, with or without a region (``en``, ``fr-CA``)."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not LANGUAGE.conforms(value):
            raise ValidationError("must be a language such as en or fr-CA")
        return str(value)


class TimeZone(fields.Field[str]):
    """A time zone of the IANA database."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str) or value not in _time_zones():
            raise ValidationError("must be an IANA time zone such as Europe/Berlin")
        return value


@cache
def _time_zones() -> set[str]:
    # Asked of the file system, which takes far longer than a command.
    return available_timezones()


class ActorName(fields.Field[str]):
    """The opaque identifier of a member of staff or a service."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not ACTOR_ID.conforms(value):
            raise ValidationError("must be an opaque identifier of letters, digits and _.:-")
        return str(value)


class PolicyVersionName(fields.Field[str]):
    """The name of a policy version."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not POLICY_VERSION.conforms(value):
            raise ValidationError("must be the version of a policy")
        return str(value)


class _BoundedList(fields.List[Any]):
    """A list whose length is looked at before its items: each of a hundred thousand would get a message of its own."""

    def __init__(self, inner: fields.Field[Any], least: int, most: int, **kwargs: Any) -> None:
        super().__init__(inner, **kwargs)
        self._lengths = range(least, most + 1)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> list[Any]:
        if isinstance(value, list) and len(value) not in self._lengths:
            raise ValidationError(f"must have {self._lengths[0]} to {self._lengths[-1]} items")
        return super()._deserialize(value, attr, data, **kwargs)


def bounded_list(inner: fields.Field[Any], least: int, most: int, **kwargs: Any) -> fields.List[Any]:
    """Return a list field of ``least`` to ``most`` items."""
    return _BoundedList(inner, least, most, **kwargs)


def set_list(inner: fields.Field[Any], least: int, most: int, **kwargs: Any) -> fields.List[Any]:
    """Return a list field of ``least`` to ``most`` items, none twice."""

    def check(items: list[Any]) -> None:
        if len(set(items)) != len(items):
            raise ValidationError("must not repeat an item")

    return _BoundedList(inner, least, most, validate=check, **kwargs)


def _refuse(message: str) -> Any:
    raise ValidationError(message)
