"""What the log says of a run that came to its end: nothing when it ended well, else why it failed. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from perdure.host.protocol.messages import InvocationFailed
from perdure.model.actions import CompleteOrchestration
from perdure.model.execution import ActivityFailed, EntityDecided, TurnDecided, TurnMismatch
from perdure.model.failure import FailureDetails


def error_of(outcome: Any) -> str:
    """The error of an outcome that a worker answered with; empty: none."""
    judge = _JUDGES.get(type(outcome))
    return judge(outcome) if judge is not None else ""


def _turn(outcome: TurnDecided) -> str:
    last = outcome.actions[-1] if outcome.actions else None
    return _shown(last.failure) if isinstance(last, CompleteOrchestration) and last.failure is not None else ""


def _mismatch(outcome: TurnMismatch) -> str:
    return outcome.report.partition("\n")[0]


def _activity(outcome: ActivityFailed) -> str:
    return _shown(outcome.failure) if outcome.failure is not None else outcome.reason


def _batch(outcome: EntityDecided) -> str:
    return next((result.reason for result in outcome.results if result.failure), "")


def _call(outcome: InvocationFailed) -> str:
    return _shown(outcome.failure)


def _shown(failure: FailureDetails) -> str:
    """Type, message, and where in the user's code it was raised."""
    said = f"{failure.error_type}: {failure.message}"
    return f"{said}\nStack: {failure.stack_trace.rstrip()}" if failure.stack_trace else said


_JUDGES: dict[type, Callable[[Any], str]] = {
    TurnDecided: _turn,
    TurnMismatch: _mismatch,
    ActivityFailed: _activity,
    EntityDecided: _batch,
    InvocationFailed: _call,
}
