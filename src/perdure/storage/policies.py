"""Rules of the protocol that every provider applies in the same way."""

from __future__ import annotations

from perdure.model.commit_plan import Message
from perdure.model.failure import FailureDetails
from perdure.model.history import (
    ExecutionResumed,
    ExecutionRewound,
    ExecutionSuspended,
    ExecutionTerminated,
    HistoryEvent,
    SubOrchestrationInstanceFailed,
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
    if policy is ExistingPolicy.FAIL_IF_RUNNING:
        return status in _FINISHED
    return policy is ExistingPolicy.REPLACE_ANY


def replaced_child(instance_id: str, parent_n: int, parent_generation: int, parent_task: int) -> Message:
    """What the parent of an unfinished child is told when a new start takes the child's place."""
    reason = f"The sub-orchestration '{instance_id}' was replaced by a new start of the same id before it finished."
    event = SubOrchestrationInstanceFailed(parent_task, reason, None, FailureDetails("InstanceReplaced", reason))
    return Message(parent_n, event, parent_generation, parent_task)
