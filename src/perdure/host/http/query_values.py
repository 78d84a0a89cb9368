"""Values of query parameters: booleans, times, statuses, numbers. A wrong one is a `BadParameter` that names it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from perdure.model.instance import STATUS_BY_LABEL, RuntimeStatus

_ISO = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:[T ](\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?"
    # the + of a zone arrives as a space where it was not encoded
    r"\s*(Z|[+-]\d{2}:?\d{2}|(?<=\d )\d{2}:?\d{2})?",
    re.IGNORECASE,
)
#: labels and numbers as texts
_STATUSES = {**STATUS_BY_LABEL, **{str(int(status)): status for status in RuntimeStatus}}
_STATUSES_IN_LOWER_CASE = {text.lower(): status for text, status in _STATUSES.items()}
_US = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?: (\d{1,2}):(\d{2})(?::(\d{2}))?)?")


_LONGEST_NUMBER = 18
_SHOWN = 100


class BadParameter(ValueError):
    """A query parameter holds what it may not. The text names it, says what was received and what was expected."""


def unfit(name: str, value: str, problem: str) -> BadParameter:
    """The error for a value that is not what its parameter takes."""
    shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}..."
    return BadParameter(f"The value '{shown}' of parameter '{name}' {problem}")


class Parameters:
    """The query of a request, by name in any case; a name may be repeated."""

    __slots__ = ("_values",)

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name.lower(), []).append(value)

    def all(self, name: str) -> list[str]:
        """Every value of a parameter."""
        return self._values.get(name.lower(), [])

    def text(self, name: str) -> str | None:
        """The first value, None when it is absent or blank."""
        values = self._values.get(name.lower())
        return values[0] if values and values[0].strip() else None

    def verbatim(self, name: str) -> str | None:
        """The first value as it is."""
        values = self._values.get(name.lower())
        return values[0] if values else None

    def flag(self, name: str, default: bool) -> bool:
        """true or false in any case; anything else counts as absent."""
        value = (self.text(name) or "").strip().lower()
        return value == "true" if value in ("true", "false") else default

    def seconds(self, name: str) -> float | None:
        """A number of seconds. Raises `BadParameter`."""
        text = self.text(name)
        if text is None:
            return None
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not 0 <= number < 1e9:
            raise unfit(name, text, "is not a number of seconds.")
        return number

    def count(self, name: str, default: int) -> int:
        """A whole number of at least 1. Raises `BadParameter`."""
        text = self.text(name)
        if text is None:
            return default
        digits = text.strip().lstrip("0")
        if not (digits.isascii() and digits.isdecimal()):
            raise unfit(name, text, "is not a whole number of at least 1.")
        return int(digits[:_LONGEST_NUMBER])

    def time(self, name: str) -> int | None:
        """Microseconds since 1970, None for what is no time."""
        text = self.text(name)
        return None if text is None else parse_time(text)

    def time_if_given(self, name: str) -> int | None:
        """As `time`, but what is no time is refused. Raises `BadParameter`."""
        text = self.text(name)
        found = None if text is None else parse_time(text)
        if text is not None and found is None:
            raise unfit(name, text, "is no time. Expected ISO 8601, for example 2026-01-31T10:00Z.")
        return found

    def tags(self, name: str) -> dict[str, str] | None:
        """NAME=VALUE, repeated; None when there is none. Raises `BadParameter`."""
        found: dict[str, str] = {}
        for text in self.all(name):
            tag, equals, value = text.partition("=")
            if not tag or not equals:
                raise unfit(name, text, "is not NAME=VALUE.")
            found[tag] = value
        return found or None

    def statuses(self, name: str = "runtimeStatus") -> tuple[int, ...]:
        """Statuses by label (case matters) or number, repeated or with commas; unknown ones are dropped."""
        found: dict[int, None] = {}
        for value in self.all(name):
            for part in value.split(","):
                status = _STATUSES.get(part.strip())
                if status is not None:
                    found[int(status)] = None
        return tuple(found)


def status_in_any_case(text: str) -> RuntimeStatus | None:
    """A status by label in any case, or by number."""
    return _STATUSES_IN_LOWER_CASE.get(text.strip().lower())


def parse_time(text: str) -> int | None:
    """Microseconds since 1970 of a timestamp; without a zone it is UTC. None for what is no timestamp."""
    text = text.strip().strip('"')
    try:
        when = _from_iso(text) or _from_us(text) or parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    since = when - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds


def _from_iso(text: str) -> datetime | None:
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    microsecond = int((fraction or "").ljust(6, "0")[:6] or 0)
    return datetime(
        int(year),
        int(month),
        int(day),
        int(hour or 0),
        int(minute or 0),
        int(second or 0),
        microsecond,
        tzinfo=_zone(zone),
    )


def _zone(text: str | None) -> timezone | None:
    if not text or text.upper() == "Z":
        return timezone.utc
    text = text.replace(":", "")
    offset = datetime.strptime(text if text[0] in "+-" else f"+{text}", "%z").tzinfo
    assert isinstance(offset, timezone)
    return offset


def _from_us(text: str) -> datetime | None:
    match = _US.fullmatch(text)
    if match is None:
        return None
    month, day, year, hour, minute, second = match.groups()
    return datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
