"""When a timer fires: schedule expressions and their occurrences in a time zone. Pure: no clock, no I/O.

Instants are microseconds since 1970 (UTC). Around a change of the zone's offset:

- a wall-clock time that does not exist is moved forward by the size of the gap;
- a wall-clock time that exists twice counts twice for an *interval* (second, minute or hour written with `*`, `/` or
  `-`), and once, the first time, for a *point in time*.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone, tzinfo

from msgspec import Struct

from perdure.host.triggers.ncrontab import DAY, Cron, CronError, parse_cron

SECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# No zone ever skipped or repeated more than a day; an hour more, to be inside it for certain.
_LONGEST_SHIFT = DAY + 3600
_LAST = int((datetime(9998, 1, 1, tzinfo=timezone.utc) - _EPOCH).total_seconds())

_CLOCK = r"(?P<hours>\d{1,2}):(?P<minutes>\d{1,2})(?::(?P<seconds>\d{1,2})(?:\.(?P<fraction>\d{1,7}))?)?"
_TIMESPANS = (
    re.compile(r"(?P<days>\d{1,8})"),
    re.compile(_CLOCK),
    # also what `24:00:00` is read as, because 24 is no hour: that many days
    re.compile(rf"(?P<days>\d{{1,8}})[.:]{_CLOCK}"),
)
_TIMESPAN_LIMITS = {"days": 10675199, "hours": 23, "minutes": 59, "seconds": 59}


class ScheduleError(ValueError):
    """A schedule expression that cannot be used; the text is ready to print."""


class CronSchedule(Struct, frozen=True):
    """Occurrences of an NCRONTAB expression on the clock of `zone`."""

    expression: str
    cron: Cron
    zone: tzinfo

    #: what the function sees as `schedule["AdjustForDST"]`
    adjusts_for_dst = True

    @property
    def under_a_minute(self) -> bool:
        """Whether two occurrences can be less than a minute apart."""
        return len(self.cron.seconds) > 1

    def next_after(self, instant: int) -> int | None:
        """The first occurrence later than `instant`; None when there is none any more."""
        found = _next_occurrence(self.cron, self.zone, instant // SECOND + 1)
        return None if found is None else found * SECOND


class IntervalSchedule(Struct, frozen=True):
    """One occurrence every `interval` microseconds, counted from the last run."""

    expression: str
    interval: int
    adjusts_for_dst = False

    @property
    def under_a_minute(self) -> bool:
        """Whether two occurrences are less than a minute apart."""
        return self.interval < 60 * SECOND

    def next_after(self, instant: int) -> int | None:
        """One interval after `instant`."""
        return instant + self.interval if instant + self.interval < _LAST * SECOND else None


Schedule = CronSchedule | IntervalSchedule


def parse_schedule(expression: str, zone: tzinfo) -> CronSchedule | IntervalSchedule:
    """Read a cron expression, or a TimeSpan such as `00:05:00` (a bare number is days). Raises `ScheduleError`."""
    text = expression.strip()
    try:
        return CronSchedule(expression, parse_cron(text), zone)
    except CronError as error:
        interval = parse_timespan(text)
        if interval is not None and interval > 0:
            return IntervalSchedule(expression, interval)
        hint = "A timespan must be longer than nothing." if interval is not None else str(error)
        raise ScheduleError(
            f"The schedule expression '{expression}' was not recognized as a valid cron expression or timespan "
            f"string. {hint}"
        ) from None


def occurrences(schedule: CronSchedule | IntervalSchedule, after: int, count: int) -> list[int]:
    """The next `count` occurrences later than `after`, fewer when the schedule ends before."""
    found: list[int] = []
    while len(found) < count:
        instant = schedule.next_after(found[-1] if found else after)
        if instant is None:
            break
        found.append(instant)
    return found


def timespan(microseconds: int) -> str:
    """A duration as `[d.]hh:mm:ss[.fffffff]`."""
    sign = "-" if microseconds < 0 else ""
    seconds, fraction = divmod(abs(microseconds), SECOND)
    days, seconds = divmod(seconds, DAY)
    text = f"{days}." if days else ""
    text += f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return sign + text + (f".{fraction:06}0" if fraction else "")


def parse_timespan(text: str) -> int | None:
    """The microseconds of a TimeSpan `[d.]hh:mm[:ss[.fff]]` or of a number of days; None for any other text."""
    for form in _TIMESPANS:
        match = form.fullmatch(text)
        if match is None:
            continue
        parts = {name: int(value) for name, value in match.groupdict().items() if value and name != "fraction"}
        if any(value > _TIMESPAN_LIMITS[name] for name, value in parts.items()):
            continue
        fraction = (match.groupdict().get("fraction") or "").ljust(7, "0")[:6]
        return int(timedelta(**parts).total_seconds()) * SECOND + int(fraction)
    return None


# -- occurrences in a zone; whole seconds since 1970 from here on


class _Stretch(Struct):
    """A time during which a zone keeps one offset. `before` is the offset until `start`, the same if unknown."""

    start: int
    end: int
    offset: int
    before: int


def _next_occurrence(cron: Cron, zone: tzinfo, start: int) -> int | None:
    """The first occurrence that is not before second `start`."""
    for stretch in _stretches(cron, zone, start):
        shift = stretch.offset - stretch.before
        low = max(start, stretch.start)
        found = [_first_at_offset(cron, low, stretch.offset)]
        if shift > 0:
            # the skipped wall-clock times, read by the old offset, fall into the beginning of the stretch
            skipped = _first_at_offset(cron, low, stretch.before)
            found.append(skipped if skipped is not None and skipped < stretch.start + shift else None)
        elif shift < 0 and not cron.interval:
            found = [_first_at_offset(cron, max(low, stretch.start - shift), stretch.offset)]
        inside = [instant for instant in found if instant is not None and instant < stretch.end]
        if inside:
            return min(inside)
    return None


def _first_at_offset(cron: Cron, instant: int, offset: int) -> int | None:
    wall = cron.first_from(instant + offset)
    return None if wall is None else wall - offset


def _stretches(cron: Cron, zone: tzinfo, start: int) -> Iterator[_Stretch]:
    """The stretches from the one that covers `start` up to where an occurrence must have been found."""
    since = _change_between(zone, start - _LONGEST_SHIFT, start)
    before = _offset(zone, start - _LONGEST_SHIFT) if since is not None else _offset(zone, start)
    begin = since if since is not None else start
    while True:
        offset = _offset(zone, begin)
        found = _first_at_offset(cron, max(begin, start), offset)
        if found is None or found >= _LAST:
            return
        # far enough that a point in time which skips the second copy of an hour is still found in this stretch
        horizon = found + _LONGEST_SHIFT
        change = _change_between(zone, max(begin, start), horizon)
        yield _Stretch(begin, horizon if change is None else change, offset, before)
        if change is None:
            # only a point in time that is not found yet comes here: go on behind the skipped copy
            begin, before = horizon, offset
        else:
            begin, before = change, offset


def _change_between(zone: tzinfo, low: int, high: int) -> int | None:
    """The first second in (low, high] at which the offset is another one than just before; looks once a day."""
    while low < high:
        probe = min(low + DAY, high)
        offset = _offset(zone, low)
        if _offset(zone, probe) != offset:
            while probe - low > 1:
                middle = (low + probe) // 2
                if _offset(zone, middle) == offset:
                    low = middle
                else:
                    probe = middle
            return probe
        low = probe
    return None


def _offset(zone: tzinfo, instant: int) -> int:
    offset = (_EPOCH + timedelta(seconds=instant)).astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())
