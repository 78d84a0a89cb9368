"""Constraints of route parameters: `int`, `min(1)`, `regex(...)` and the others."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import datetime

Constraint = Callable[[str], bool]

_INT32, _INT64 = 2**31, 2**63
_WHOLE = re.compile(r"\s*[+-]?\d+\s*")
_FLOATING = re.compile(r"\s*[+-]?(\d[\d,]*\.?\d*|\.\d+)([eE][+-]?\d+)?\s*|\s*[+-]?(Infinity|NaN|∞)\s*", re.IGNORECASE)
_DECIMAL = re.compile(r"\s*[+-]?(\d[\d,]*\.?\d*|\.\d+)\s*")
_DATES = ("%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%Y/%m/%d", "%Y-%m-%d %H:%M:%S", "%Y-%m")


def constraint(text: str) -> Constraint:
    """The check that a constraint means. Raises `ValueError` on an unknown one or on wrong arguments."""
    name, opening, rest = text.partition("(")
    arguments = rest[:-1] if opening and rest.endswith(")") else None
    if opening and arguments is None:
        raise ValueError(f"the constraint '{text}' lacks its closing parenthesis.")
    key = name.strip().lower()
    if arguments is None and key in _PLAIN:
        return _PLAIN[key]
    if arguments is not None and key == "regex":
        return _regex(arguments)
    if arguments is not None and key in _WITH_NUMBERS:
        try:
            numbers = [int(part) for part in arguments.split(",")]
            return _WITH_NUMBERS[key](*numbers)
        except (ValueError, TypeError):
            raise ValueError(f"the constraint '{text}' has wrong arguments.") from None
    known = ", ".join(sorted({*_PLAIN, "regex(...)", *(f"{name}(...)" for name in _WITH_NUMBERS)}))
    raise ValueError(f"the constraint '{text}' is unknown. Known: {known}.")


def _whole_between(low: int, high: int) -> Constraint:
    return lambda value: _WHOLE.fullmatch(value) is not None and low <= int(value) < high


def _matches(pattern: re.Pattern[str]) -> Constraint:
    return lambda value: pattern.fullmatch(value) is not None


def _is_uuid(value: str) -> bool:
    text = value.strip()
    bare = text[1:-1] if (text[:1], text[-1:]) in (("{", "}"), ("(", ")")) else text
    try:
        return str(uuid.UUID(bare)) == bare.lower() or uuid.UUID(bare).hex == text.lower()
    except ValueError:
        return False


def _is_date(value: str) -> bool:
    text = value.strip()
    try:
        datetime.fromisoformat(re.sub(r"(\.\d{1,6})\d*", r"\1", text).replace("Z", "+00:00"))
        return True
    except ValueError:
        return any(_parses(text, pattern) for pattern in _DATES)


def _parses(text: str, pattern: str) -> bool:
    try:
        datetime.strptime(text, pattern)
    except ValueError:
        return False
    return True


def _regex(pattern: str) -> Constraint:
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"the constraint 'regex({pattern})' is no regular expression: {error}.") from None
    return lambda value: compiled.search(value) is not None


def _length(low: int, high: int | None = None) -> Constraint:
    most = low if high is None else high
    return lambda value: low <= len(value) <= most


_PLAIN: dict[str, Constraint] = {
    "int": _whole_between(-_INT32, _INT32),
    "long": _whole_between(-_INT64, _INT64),
    "float": _matches(_FLOATING),
    "double": _matches(_FLOATING),
    "decimal": _matches(_DECIMAL),
    "bool": lambda value: value.strip().lower() in ("true", "false"),
    "guid": _is_uuid,
    "datetime": _is_date,
    "alpha": lambda value: re.fullmatch(r"[A-Za-z]*", value) is not None,
    "required": lambda value: bool(value.strip()),
}

_WITH_NUMBERS: dict[str, Callable[..., Constraint]] = {
    "minlength": lambda low: lambda value: len(value) >= low,
    "maxlength": lambda high: lambda value: len(value) <= high,
    "length": _length,
    "min": lambda low: _whole_between(low, _INT64),
    "max": lambda high: _whole_between(-_INT64, high + 1),
    "range": lambda low, high: _whole_between(low, high + 1),
}
