"""Runs a recording with the code of today, turn by turn, and says where it does not do what it did."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from perdure.engine import lifecycle
from perdure.engine.catalog import Catalog
from perdure.engine.decide import Decision, Intake, decide
from perdure.engine.rules import Room
from perdure.engine.runtime_state import RuntimeState, revived
from perdure.model.actions import CancelTimer
from perdure.model.codec import decode_history
from perdure.model.execution import TurnDecided, TurnRequest
from perdure.model.failure import FailureDetails
from perdure.model.history import (
    ExecutionCompleted,
    ExecutionResumed,
    ExecutionSuspended,
    ExecutionTerminated,
    HistoryEvent,
    OrchestratorStarted,
)
from perdure.model.instance import InstanceKind, RuntimeStatus
from perdure.sdk.mismatch import DECISIONS
from perdure.sdk.options import SdkOptions
from perdure.testing.app_functions import AppFunctions
from tests.histories.recording import Header, Recording, Turn

_NO_ROOM = Room(token=1, slots=0, threads=0, number=1)


class Changed(AssertionError):
    """A recording does not replay as it was recorded."""


def replay(recording: Recording, app: Any, *, hot: bool) -> None:
    """Run the turns of a recording with `app`; `hot` in one session, else each after a replay of all before it.

    Raises `Changed` at the first turn whose history row, cancelled timers or custom status are not those recorded, or
    when the generation ends otherwise.
    """
    _Replay(recording, app, hot).run()


class _Replay:
    def __init__(self, recording: Recording, app: Any, hot: bool) -> None:
        self._header, self._turns = recording.header, recording.turns
        # the dialect is not told: it is in the history
        functions = AppFunctions(app, SdkOptions(max_sessions=10 if hot else 0))
        self._sessions = functions.sessions(lambda n: None)
        self._catalog = Catalog(functions.names)
        self._state = _first_state(self._header)
        self._past: list[bytes] = []
        self._custom_status: str | None = None

    def run(self) -> None:
        for turn in self._turns:
            self._state = replace(self._state, turn=turn.turn - 1)
            decision = self._decision(turn, decode_history(turn.row))
            self._same("history row", turn, bytes(turn.row), decision.plan.history, decode=True)
            self._past.append(bytes(turn.row))
            self._state = decision.state
        self._sessions.close()
        plan, header = decision.plan, self._header
        status = "ContinuedAsNew" if plan.next_generation else plan.status.label
        self._same("status at the end", turn, header.status, status)
        if plan.next_generation is None:
            self._same("output", turn, header.output, plan.output)
            self._same("custom status at the end", turn, header.custom_status, self._custom_status)

    def _decision(self, turn: Turn, row: list[HistoryEvent]) -> Decision:
        state = self._state
        time = next(event.timestamp for event in row if isinstance(event, OrchestratorStarted))
        events = [e for e in row if type(e) not in DECISIONS and not isinstance(e, OrchestratorStarted)]
        control = events[0]
        if isinstance(control, ExecutionSuspended):
            return lifecycle.suspend(state, time, control, ())
        if isinstance(control, ExecutionResumed):
            return lifecycle.resume(state, time, control, ())
        if isinstance(control, ExecutionTerminated):
            tasks = lifecycle.open_tasks([event for past in self._past for event in decode_history(past)])
            return lifecycle.terminate(state, time, control, 1, tasks)
        outcome = self._sessions.run(
            TurnRequest(
                state.n,
                state.generation,
                state.turn,
                state.instance_id,
                state.name,
                time,
                events,
                self._past,
            )
        )
        if not isinstance(outcome, TurnDecided):
            raise Changed(f"{self._where(turn)}\n{getattr(outcome, 'report', outcome)}\n{_ADVICE}")
        cancelled = tuple(action.id for action in outcome.actions if isinstance(action, CancelTimer))
        self._same("list of cancelled timers", turn, turn.cancelled, cancelled)
        status = outcome.custom_status if outcome.sets_status else UNSET
        self._same("custom status", turn, turn.custom_status, status)
        if outcome.sets_status:
            self._custom_status = outcome.custom_status
        return decide(revived(state), time, Intake(events), outcome, {}, _NO_ROOM, self._catalog)

    def _same(self, what: str, turn: Turn, recorded: Any, now: Any, *, decode: bool = False) -> None:
        if decode:
            recorded, now = _comparable(recorded), _comparable(now)
        if recorded != now:
            told = f"Recorded: {_lines(recorded)}\nNow: {_lines(now)}"
            raise Changed(f"{self._where(turn)}: another {what} than was recorded.\n{told}\n{_ADVICE}")

    def _where(self, turn: Turn) -> str:
        header = self._header
        return (
            f"The recording of '{header.name}' ({header.app}.py, instance '{header.instance_id}', generation "
            f"{header.generation}) by perdure {header.release} (schema {header.schema}, engine rules {header.logic}, "
            f"dialect {header.dialect}): turn {turn.turn}"
        )


_ADVICE = (
    "What began under a release must go on under every later one. Undo the change, or let it apply only to generations "
    "that begin from now on: raise LOGIC in perdure/engine/decide.py and follow the `logic` of ExecutionStarted. "
    "A recording is never made anew, nor the app that it ran."
)


def _first_state(header: Header) -> RuntimeState:
    return RuntimeState(
        header.n,
        header.instance_id,
        InstanceKind.ORCHESTRATION,
        header.name,
        header.version,
        header.generation,
        0,
        RuntimeStatus.RUNNING,
        parent_id=header.parent_id,
        tags=header.tags,
    )


def _comparable(row: bytes) -> list[HistoryEvent]:
    """The events of a row, without stack traces of the end: Python words them, differently in each version."""
    return [
        replace(event, failure=_untraced(event.failure)) if isinstance(event, ExecutionCompleted) else event
        for event in decode_history(row)
    ]


def _untraced(failure: FailureDetails | None) -> FailureDetails | None:
    return None if failure is None else replace(failure, stack_trace="", cause=_untraced(failure.cause))


def _lines(value: Any) -> str:
    return "".join(f"\n  {event}" for event in value) if isinstance(value, list) else repr(value)
