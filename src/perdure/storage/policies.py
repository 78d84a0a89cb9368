"""Rules of the protocol that every provider applies in the same way."""

from __future__ import annotations

from perdure.model.history import (
    ExecutionResumed,
    ExecutionRewound,
    ExecutionSuspended,
    ExecutionTerminated,
    HistoryEvent,
)
from perdure.model.instance import TERMINAL
from perdure.model.operations import ExistingPolicy

#: what a message reaches: 0 an instance that goes on, 1 a suspended or parked one too, 2 a finished one too
ORDINARY, HALTED, FINISHED = 0, 1, 2
CONTROL: dict[type[HistoryEvent], int] = {
    ExecutionSuspended: HALTED,
    ExecutionResumed: HALTED,
    ExecutionTerminated: HALTED,
    ExecutionRewound: FINISHED,
}

_FINISHED = frozenset(int(status) for status in TERMINAL)


def replaces(policy: ExistingPolicy, status: int) -> bool:
    """Whether a start under `policy` takes the place of an instance with `status`; else it is refused."""
    return policy is ExistingPolicy.FAIL_IF_RUNNING and status in _FINISHED
