"""NCRONTAB expressions as sets of wall-clock seconds: five or six fields, all of which must match.

Wall-clock times are whole seconds since 1970-01-01 00:00 on the clock of some zone; zones are the business of
`schedule`. Unlike classic cron, a day must satisfy the day *and* the weekday field.
"""

from __future__ import annotations

from bisect import bisect_left
from calendar import monthrange
from datetime import date

from msgspec import Struct

DAY = 86400
_EPOCH = date(1970, 1, 1).toordinal()
# Leap days that fall on a given weekday are at most 40 years apart; what has no match in a century has none.
_SEARCH_YEARS = 100
_LAST_YEAR = 9998

_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november")
_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


class _Field(Struct, frozen=True):
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, (*_MONTHS, "december")),
    _Field("day-of-week", 0, 6, _WEEKDAYS),
)


class CronError(ValueError):
    """An expression that is no NCRONTAB expression; the text names the field, what it holds and what it may hold."""


class Cron(Struct, frozen=True):
    """The values that each field admits, ascending. `interval`: second, minute or hour were written with `*`, `/`
    or `-`, so that the expression means "every so often" rather than "at"."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    interval: bool

    def matches(self, wall: int) -> bool:
        """Whether this second of the wall clock is an occurrence."""
        ordinal, second = divmod(wall, DAY)
        day = date.fromordinal(_EPOCH + ordinal)
        return (
            second % 60 in self.seconds
            and second // 60 % 60 in self.minutes
            and second // 3600 in self.hours
            and day.day in self.days
            and day.month in self.months
            and day.isoweekday() % 7 in self.weekdays
        )

    def first_from(self, wall: int) -> int | None:
        """The earliest occurrence that is not before `wall`; None if there is none in a hundred years."""
        ordinal, second = divmod(wall, DAY)
        start = date.fromordinal(_EPOCH + ordinal)
        day = self._day_from(start)
        if day is None:
            return None
        if day == start:
            time = self._time_from(second)
            if time is not None:
                return (day.toordinal() - _EPOCH) * DAY + time
            day = self._day_from(date.fromordinal(start.toordinal() + 1))
            if day is None:
                return None
        return (day.toordinal() - _EPOCH) * DAY + self.hours[0] * 3600 + self.minutes[0] * 60 + self.seconds[0]

    def _time_from(self, second: int) -> int | None:
        """The first matching second of a day from `second` of that day on."""
        hour, minute, second = second // 3600, second // 60 % 60, second % 60
        h = bisect_left(self.hours, hour)
        if h < len(self.hours) and self.hours[h] == hour:
            m = bisect_left(self.minutes, minute)
            if m < len(self.minutes) and self.minutes[m] == minute:
                s = bisect_left(self.seconds, second)
                if s < len(self.seconds):
                    return hour * 3600 + minute * 60 + self.seconds[s]
                m += 1
            if m < len(self.minutes):
                return hour * 3600 + self.minutes[m] * 60 + self.seconds[0]
            h += 1
        if h < len(self.hours):
            return self.hours[h] * 3600 + self.minutes[0] * 60 + self.seconds[0]
        return None

    def _day_from(self, start: date) -> date | None:
        for year in range(start.year, min(start.year + _SEARCH_YEARS, _LAST_YEAR) + 1):
            for month in self.months:
                if year == start.year and month < start.month:
                    continue
                first_day = start.day if (year, month) == (start.year, start.month) else 1
                weekday_before, length = monthrange(year, month)
                for day in self.days:
                    # monthrange counts from Monday = 0; the first of the month is that weekday
                    if first_day <= day <= length and (weekday_before + day) % 7 in self.weekdays:
                        return date(year, month, day)
        return None


def parse_cron(expression: str) -> Cron:
    """Read `{second} {minute} {hour} {day} {month} {day-of-week}`; with five fields the second is 0.

    Raises `CronError`.
    """
    parts = expression.split()
    if len(parts) == 5:
        parts.insert(0, "0")
    if len(parts) != 6:
        raise CronError(f"It has {len(parts)} fields; a cron expression has six (second first) or five.")
    seconds, minutes, hours, days, months, weekdays = map(_field_values, _FIELDS, parts)
    interval = any(mark in part for part in parts[:3] for mark in "*/-")
    return Cron(seconds, minutes, hours, days, months, weekdays, interval)


def _field_values(field: _Field, text: str) -> tuple[int, ...]:
    values: set[int] = set()
    for item in text.split(","):
        values.update(_item_values(field, item))
    return tuple(sorted(values))


def _item_values(field: _Field, item: str) -> range:
    """`*`, `a`, `a-b`, each with an optional step; a step after a single value counts up to the end of the field."""
    span, slash, step_text = item.partition("/")
    step = 1
    if slash:
        if not step_text.isdecimal() or int(step_text) < 1:
            raise CronError(f"The step of '{item}' in the {field.name} field must be a number from 1.")
        step = int(step_text)
    first_text, dash, last_text = span.partition("-")
    if span == "*":
        first, last = field.low, field.high
    elif dash:
        # an upside-down range means the same values, as it does where these expressions come from
        first, last = sorted((_value(field, first_text), _value(field, last_text)))
    else:
        first = _value(field, span)
        last = field.high if slash else first
    return range(first, last + 1, step)


def _value(field: _Field, text: str) -> int:
    if text.isdecimal() and text.isascii() and field.low <= int(text) <= field.high:
        return int(text)
    if text.isalpha():
        for position, name in enumerate(field.names):
            if name.startswith(text.lower()):
                return field.low + position
    names = f" or a name such as {field.names[0][:3]}" if field.names else ""
    raise CronError(f"The {field.name} field holds '{text}'; it takes {field.low} to {field.high}{names}.")
