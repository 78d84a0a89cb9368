"""A hub in miniature: keeps the rows of one instance and runs its turns on `Sessions`."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from perdure.model.actions import Action, CompleteOrchestration, ContinueAsNewWith
from perdure.model.codec import encode_history
from perdure.model.execution import SessionMissing, TurnDecided, TurnMismatch, TurnRequest
from perdure.model.history import (
    ContinueAsNew,
    ExecutionCompleted,
    ExecutionStarted,
    HistoryEvent,
    OrchestratorStarted,
    TaskCompleted,
)
from perdure.sdk.histories import record
from perdure.sdk.options import SdkOptions
from perdure.sdk.replay import Sessions

SECOND = 1_000_000
START = 1_575_847_121 * SECOND + 324_092  # 2019-12-08T23:18:41.324092Z


class Instance:
    """One orchestration, its stored rows, and the sessions that run it."""

    def __init__(
        self,
        function: Callable[..., Any],
        input: str | None = None,
        *,
        options: SdkOptions | None = None,
        input_type: Any = None,
        name: str = "orch",
        n: int = 1,
    ) -> None:
        self.function = function
        self.options = options or SdkOptions()
        self.code = SimpleNamespace(function=function, name=name, input_type=input_type)
        self.sessions = self.new_sessions()
        self.input = input
        self.name = name
        self.n = n
        self.turn = 0
        self.generation = 0
        self.time = START
        self.rows: list[bytes] = []
        self.last: TurnDecided | None = None

    def new_sessions(self) -> Sessions:
        return Sessions(lambda name: self.code, self.options)

    def request(self, *events: HistoryEvent, history: list[bytes] | None = None) -> TurnRequest:
        return TurnRequest(
            self.n, self.generation, self.turn, "inst", self.name, self.time, list(events), history=history
        )

    def start(self, *before: HistoryEvent, parent_id: str | None = None, version: str = "") -> list[Action]:
        started = ExecutionStarted(self.name, self.input, version=version, parent_id=parent_id)
        return self.step(*before, started)

    def step(self, *events: HistoryEvent) -> list[Action]:
        """Run one turn; the history is sent when the session is missing. Gives what was decided."""
        outcome = self.sessions.run(self.request(*events))
        if isinstance(outcome, SessionMissing):
            outcome = self.sessions.run(self.request(*events, history=list(self.rows)))
        assert isinstance(outcome, TurnDecided), outcome
        self.last = outcome
        row: list[HistoryEvent] = [OrchestratorStarted(self.time), *events]
        record(row, outcome.actions)
        for action in outcome.actions:
            if isinstance(action, CompleteOrchestration):
                row.append(ExecutionCompleted(3 if action.failure else 1, action.result))
            elif isinstance(action, ContinueAsNewWith):
                row.append(ContinueAsNew(action.input))
        self.rows.append(encode_history(row))
        self.turn += 1
        self.time += SECOND
        return outcome.actions

    def evict(self) -> None:
        self.sessions.drop(self.n)

    def mismatch(self, *events: HistoryEvent) -> str:
        """The report of a replay that does not fit."""
        outcome = self.new_sessions().run(self.request(*events, history=list(self.rows)))
        assert isinstance(outcome, TurnMismatch), outcome
        return outcome.report


def completed(task: int, result: str | None = "null") -> TaskCompleted:
    return TaskCompleted(task, result)


def output(actions: list[Action]) -> str | None:
    """The JSON text that the orchestration returned."""
    (end,) = [action for action in actions if isinstance(action, CompleteOrchestration)]
    assert end.failure is None, end
    return end.result


def failure(actions: list[Action]) -> str:
    """The published text of the orchestration's failure."""
    (end,) = [action for action in actions if isinstance(action, CompleteOrchestration)]
    assert end.failure is not None, end
    return end.result or ""
