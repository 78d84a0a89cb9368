"""The types of settings: each reads what JSON or an environment variable holds, or says what was expected."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """A type of setting. `read` raises `ValueError` on anything that is not `expected`."""

    name: str
    expected: str
    read: Callable[[Any], Any]


_TIME_SPAN = re.compile(r"(-)?(?:(\d+)\.)?(\d+):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?")


def parse_time_span(text: str) -> float:
    """Seconds of a TimeSpan text `[d.]hh:mm:ss[.fffffff]`; a bare whole number means days. Raises `ValueError`."""
    text = text.strip()
    if re.fullmatch(r"-?\d+", text):
        return int(text) * 86400.0
    match = _TIME_SPAN.fullmatch(text)
    if match is None:
        raise ValueError(text)
    sign, days, first, second, third, fraction = match.groups()
    hours, minutes, seconds = int(first), int(second), int(third or 0)
    if hours > 23 and days is None and third is not None:
        # this grammar reads hours above 23 as days: 24:00:00 is 24 days, the rest moves down one place
        days, hours, minutes, seconds = str(hours), int(second), int(third), 0
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ValueError(text)
    total = int(days or 0) * 86400 + hours * 3600 + minutes * 60 + seconds + int((fraction or "0").ljust(7, "0")) / 1e7
    return -total if sign else total


def format_time_span(seconds: float) -> str:
    """The TimeSpan text of a number of seconds."""
    ticks = round(abs(seconds) * 10_000_000)
    whole, fraction = divmod(ticks, 10_000_000)
    days, rest = divmod(whole, 86400)
    text = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return ("-" if seconds < 0 else "") + (f"{days}." if days else "") + text + (f".{fraction:07}" if fraction else "")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ValueError


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise ValueError


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str, float)):
        raise ValueError
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError
        return int(value)
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, str, float)):
        raise ValueError
    return float(value)


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise ValueError
    return tuple(_text(item) for item in value)


def _wholes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise ValueError
    return tuple(_whole(item) for item in value)


def _text_map(value: Any) -> dict[str, str]:
    return {name: _text(item) for name, item in _section(value).items()}


def _section(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError
    return dict(value)


def _duration(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError
    seconds = parse_time_span(str(value))
    if seconds < 0:
        raise ValueError
    return seconds


def _timeout(value: Any) -> float | None:
    return None if str(value).strip() in ("-1", "-1.00:00:00") else _duration(value)


TEXT = Kind("text", "a text", _text)
BOOLEAN = Kind("bool", "true or false", _boolean)
INTEGER = Kind("int", "a whole number", _whole)
NUMBER = Kind("number", "a number", _number)
TEXTS = Kind("list of text", "a list of texts", _texts)
INTEGERS = Kind("list of int", "a list of whole numbers", _wholes)
TEXT_MAP = Kind("map", "an object of texts", _text_map)
SECTION = Kind("object", "an object", _section)
DURATION = Kind("TimeSpan", "a time span [d.]hh:mm:ss", _duration)
TIMEOUT = Kind("TimeSpan or -1", "a time span [d.]hh:mm:ss, or -1 for none", _timeout)


def whole(low: int, high: int | None = None) -> Kind:
    """A whole number from `low` to `high`."""

    def read(value: Any) -> int:
        number = _whole(value)
        if number < low or (high is not None and number > high):
            raise ValueError
        return number

    between = f"a whole number of at least {low}" if high is None else f"a whole number from {low} to {high}"
    return Kind("int", between, read)


def choice(*names: str) -> Kind:
    """One of some names, in any case; gives the name as written here."""
    by_lower = {name.lower(): name for name in names}

    def read(value: Any) -> str:
        found = by_lower.get(_text(value).strip().lower())
        if found is None:
            raise ValueError
        return found

    return Kind("one of " + ", ".join(names), "one of " + ", ".join(names), read)
