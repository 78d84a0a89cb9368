"""Rules of the protocol that every provider applies in the same way."""

from __future__ import annotations

from perdure.model.history import (
    ExecutionResumed,
    ExecutionRewound,
    ExecutionSuspended,
    ExecutionTerminated,
    HistoryEvent,
)
from perdure.model.instance import TERMINAL, InstanceKind
from perdure.model.operations import ExistingPolicy

#: what a message reaches: 0 an instance that goes on, 1 a suspended or parked one too, 2 a finished one too
ORDINARY, HALTED, FINISHED = 0, 1, 2
CONTROL: dict[type[HistoryEvent], int] = {
    ExecutionSuspended: HALTED,
    ExecutionResumed: HALTED,
    ExecutionTerminated: HALTED,
    ExecutionRewound: FINISHED,
}

_KINDS: dict[int, str] = {InstanceKind.ORCHESTRATION: "orchestration", InstanceKind.ENTITY: "entity"}
_FINISHED = frozenset(int(status) for status in TERMINAL)


def replaces(policy: ExistingPolicy, status: int) -> bool:
    """Whether a start under `policy` takes the place of an instance with `status`; else it is refused."""
    return policy is ExistingPolicy.FAIL_IF_RUNNING and status in _FINISHED


def function_key(kind: int, name: str) -> str:
    """The function that an instance runs, as `kind:name` in lower case."""
    return f"{_KINDS[kind]}:{name.lower()}"
