"""What no hub can work with, whatever it holds: operations of clients are looked at before anything is done."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from perdure.model.instance import InstanceFilter, InstanceKind, RuntimeStatus
from perdure.model.operations import (
    CountInstances,
    CountWaiting,
    DeleteTaskHub,
    ListAudit,
    ListInstances,
    Operation,
    PurgeInstances,
    SignalEntityOperation,
    StartInstance,
)

LARGEST_PAGE = 1000
#: the years 1 to 9999 in microseconds since 1970
FIRST_TIME, LAST_TIME = -62_135_596_800_000_000, 253_402_300_799_999_999
_LAST_NUMBER = (1 << 63) - 1
_NUMBER = re.compile("[0-9]{1,18}")
_STATUSES = {int(status): status.label for status in RuntimeStatus}
_KINDS = {int(kind): kind.name.lower() for kind in InstanceKind}


def malformed(operation: Operation) -> str | None:
    """What is wrong with an operation (the text names the field), or None."""
    problems = _PROBLEMS.get(type(operation))
    return None if problems is None else next(problems(operation), None)


def _filter(filter: InstanceFilter) -> Iterator[str]:
    yield from _time("created_from", filter.created_from)
    yield from _time("created_to", filter.created_to)
    yield from _known("statuses", filter.statuses, _STATUSES)
    yield from _known("kinds", filter.kinds, _KINDS)


def _time(name: str, value: int | None) -> Iterator[str]:
    if value is not None and not FIRST_TIME <= value <= LAST_TIME:
        yield f"{name} is {value}. Expected microseconds since 1970, in the years 1 to 9999."


def _known(name: str, values: Iterable[int], known: dict[int, str]) -> Iterator[str]:
    for value in values:
        if value not in known:
            listed = ", ".join(f"{number} ({label})" for number, label in known.items())
            yield f"{name} holds {value}. Expected {listed}."


def _top(top: int) -> Iterator[str]:
    if not 1 <= top <= LARGEST_PAGE:
        yield f"top is {top}. Expected 1 to {LARGEST_PAGE}."


def _list(operation: ListInstances) -> Iterator[str]:
    yield from _top(operation.top)
    yield from _filter(operation.filter)


def _count_waiting(operation: CountWaiting) -> Iterator[str]:
    for number in operation.numbers:
        if not 0 <= number <= _LAST_NUMBER:
            yield f"numbers holds {number}. Expected numbers of instances."


def _delete_hub(operation: DeleteTaskHub) -> Iterator[str]:
    if operation.continuation is not None and not _NUMBER.fullmatch(operation.continuation):
        yield f"unknown continuation {operation.continuation[:100]!r}: pass on what the last answer gave, or none"


_PROBLEMS: dict[type, Callable[[Any], Iterator[str]]] = {
    StartInstance: lambda operation: _time("start_at", operation.start_at),
    SignalEntityOperation: lambda operation: _time("due", operation.due),
    ListInstances: _list,
    CountInstances: lambda operation: _filter(operation.filter),
    PurgeInstances: lambda operation: _filter(operation.filter),
    CountWaiting: _count_waiting,
    DeleteTaskHub: _delete_hub,
    ListAudit: lambda operation: _top(operation.top),
}
