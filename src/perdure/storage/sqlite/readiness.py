"""When an instance has something to do, and which messages reach it: the rules behind `instance.ready`."""

from __future__ import annotations

from perdure.model.instance import TERMINAL, InstanceKind, RuntimeStatus
from perdure.storage.policies import CONTROL, FINISHED, HALTED, ORDINARY

__all__ = ["BY_INBOX", "CONTROL", "FINISHED", "HALTED", "NOT_READY", "ORDINARY", "READY"]

#: answers of `mode`: known without a look at the inbox, or 2 + the least control that a waiting message needs
NOT_READY, READY, BY_INBOX = 0, 1, 2

_ENTITY = int(InstanceKind.ENTITY)
_FAILED = int(RuntimeStatus.FAILED)
_OF_STATUS = tuple(
    FINISHED if status in TERMINAL else HALTED if status is RuntimeStatus.SUSPENDED else ORDINARY
    for status in sorted(RuntimeStatus)
)
_OF_ENTITY = tuple(HALTED if status is RuntimeStatus.SUSPENDED else ORDINARY for status in sorted(RuntimeStatus))


def least_control(kind: int, status: int, parked: bool) -> int:
    """The control that a message needs to give the instance something to do."""
    least = _OF_ENTITY[status] if kind == _ENTITY else _OF_STATUS[status]
    return HALTED if parked and least == ORDINARY else least


def is_open(least: int, status: int) -> bool:
    """Whether messages to the instance are kept: it is not finished, or failed and may be rewound."""
    return least != FINISHED or status == _FAILED


def mode(least: int, kind: int, first_turn: int, cursor: int) -> int:
    """How to tell whether an instance is ready. `least`: the control that messages to it need."""
    if least == ORDINARY and (cursor or (first_turn == 0 and kind != _ENTITY)):
        return READY
    return BY_INBOX + least
