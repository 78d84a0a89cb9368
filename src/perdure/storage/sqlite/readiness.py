"""When an instance has something to do, and which messages reach it: the rules behind `instance.ready`."""

from __future__ import annotations

from perdure.model.history import (
    ExecutionResumed,
    ExecutionRewound,
    ExecutionSuspended,
    ExecutionTerminated,
    HistoryEvent,
)
from perdure.model.instance import TERMINAL, InstanceKind, RuntimeStatus

#: what a message reaches: 0 an instance that goes on, 1 a suspended or parked one too, 2 a finished one too
CONTROL: dict[type[HistoryEvent], int] = {
    ExecutionSuspended: 1,
    ExecutionResumed: 1,
    ExecutionTerminated: 1,
    ExecutionRewound: 2,
}

#: answers of `mode`: known without a look at the inbox, or 2 + the least control that a waiting message needs
NOT_READY, READY, BY_INBOX = 0, 1, 2

_TERMINAL = frozenset(int(status) for status in TERMINAL)
_FAILED, _SUSPENDED = int(RuntimeStatus.FAILED), int(RuntimeStatus.SUSPENDED)
_ENTITY = int(InstanceKind.ENTITY)


def is_finished(kind: int, status: int) -> bool:
    return status in _TERMINAL and kind != _ENTITY


def is_open(kind: int, status: int) -> bool:
    """Whether messages to the instance are kept: it is not finished, or failed and may be rewound."""
    return kind == _ENTITY or status not in _TERMINAL or status == _FAILED


def least_control(kind: int, status: int, parked: bool) -> int:
    """The control that a message needs to give the instance something to do."""
    if is_finished(kind, status):
        return 2
    return 1 if parked or status == _SUSPENDED else 0


def mode(kind: int, status: int, parked: bool, first_turn: int, cursor: int) -> int:
    """How to tell whether an instance with these values is ready."""
    least = least_control(kind, status, parked)
    if least == 0 and (cursor or (first_turn == 0 and kind != _ENTITY)):
        return READY
    return BY_INBOX + least
