"""Whose fault the death of a worker was, and what its runs are told (design 3, Blame).

What user code had begun is suspect and runs again alone; what only waited is given back uncounted.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from perdure.host.protocol.executions import RunKind
from perdure.host.protocol.messages import InvocationFailed
from perdure.host.supervision.runs import Run
from perdure.model.execution import (
    ActivityFailed,
    ActivityLost,
    EntityLost,
    SessionMissing,
    TurnLost,
)
from perdure.model.failure import FailureDetails

CALLS = frozenset({RunKind.HTTP, RunKind.TRIGGER})
_MOST_SUSPECTS = 10_000


class Suspects:
    """Work that was running when a worker died and has not ended since; the oldest is forgotten beyond a limit."""

    def __init__(self) -> None:
        self._keys: dict[Hashable, None] = {}

    def __bool__(self) -> bool:
        return bool(self._keys)

    def add(self, run: Run) -> None:
        key = _key(run)
        if key is not None:
            self._keys[key] = None
            if len(self._keys) > _MOST_SUSPECTS:
                del self._keys[next(iter(self._keys))]

    def holds(self, run: Run) -> bool:
        return _key(run) in self._keys

    def clear(self, run: Run) -> None:
        self._keys.pop(_key(run), None)


def _key(run: Run) -> Hashable:
    """What makes two runs the same work; None for calls, which never run again."""
    if run.kind in CALLS:
        return None
    request = run.begin.request
    if run.kind is RunKind.ACTIVITY:
        return run.kind, request.n, request.generation, request.task
    return run.kind, request.n


def lost(run: Run, reason: str, *, alone: bool) -> Any:
    """The outcome of a run whose worker died under it. `alone`: nothing else was running there."""
    if run.kind is RunKind.TURN:
        request = run.begin.request
        return TurnLost(request.n, request.generation, request.base_turn, alone, reason)
    if run.kind is RunKind.ACTIVITY:
        request = run.begin.request
        return ActivityLost(request.n, request.generation, request.task, alone, True, reason)
    if run.kind is RunKind.ENTITY:
        request = run.begin.request
        return EntityLost(request.n, request.base_turn, alone, reason)
    return InvocationFailed(run.invocation, FailureDetails("WorkerDied", f"{reason} while running {run.function}."))


def given_back(run: Run, reason: str) -> Any:
    """The outcome of a run that did not begin, or that the host itself ended: nobody's fault, not counted."""
    if run.kind is RunKind.TURN:
        request = run.begin.request
        return SessionMissing(request.n, request.generation, request.base_turn)
    if run.kind is RunKind.ACTIVITY:
        request = run.begin.request
        return ActivityLost(request.n, request.generation, request.task, False, False, reason)
    if run.kind is RunKind.ENTITY:
        request = run.begin.request
        return EntityLost(request.n, request.base_turn, False, reason)
    return InvocationFailed(run.invocation, FailureDetails("HostStopping", f"{run.function} was ended: {reason}."))


def timed_out(run: Run, text: str) -> Any:
    """The outcome of a run past functionTimeout: an activity fails, a turn counts as a death of its own."""
    if run.kind is RunKind.ACTIVITY:
        request = run.begin.request
        failure = FailureDetails("FunctionTimeoutException", text)
        reason = f"Activity function '{run.function}' failed:  FunctionTimeoutException: {text}"
        return ActivityFailed(request.n, request.generation, request.task, reason, None, failure)
    if run.kind in CALLS:
        return InvocationFailed(run.invocation, FailureDetails("FunctionTimeoutException", text))
    return lost(run, text, alone=True)


def timeout_text(run: Run, seconds: float) -> str:
    """The published text, and what to do."""
    return (
        f"Timeout value of {_span(seconds)} exceeded by function 'Functions.{run.function}' "
        f"(Id: '{run.invocation}'). Its worker process is replaced; functionTimeout in host.json sets the limit."
    )


def _span(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"
