"""Words for people: times with their distance, numbers with a noun, lists of names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def when(time: int, now: int) -> str:
    """A time in microseconds with its distance: `2026-01-01 10:00:00 UTC (3 min ago)`."""
    text = (_EPOCH + timedelta(microseconds=time)).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{text} ({distance(time, now)})"


def distance(time: int, now: int) -> str:
    """`in 3 min` or `3 min ago`."""
    return f"in {span(time - now)}" if time > now else f"{span(now - time)} ago"


def span(microseconds: int) -> str:
    """A duration in the largest unit of which it has two: `3 min`."""
    seconds = microseconds / 1e6
    for size, name in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def count(number: int, noun: str) -> str:
    """`no messages`, `1 message`, `2 messages`."""
    return f"{number} {noun}" if number == 1 else f"{number or 'no'} {noun}s"


def waiting(things: Sequence[object]) -> str:
    """The verb for so many."""
    return "waits" if len(things) == 1 else "wait"


def names(listed: Iterable[str], last: str = ", ") -> str:
    """Each name once, in quotes."""
    return last.join(f"'{name}'" for name in dict.fromkeys(listed))


def counted(listed: Iterable[str]) -> str:
    """Each name once, with how often it came."""
    return ", ".join(
        f"'{name}'" + (f" ({number} times)" if number > 1 else "") for name, number in Counter(listed).items()
    )
