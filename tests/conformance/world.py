"""Runs a program turn by turn in a random world, on three sides: live sessions, replay on every turn, the published
executor (over the 1.x protocol, which is also answered by ours). All must agree after every turn.
"""

from __future__ import annotations

import json
from random import Random
from types import SimpleNamespace
from typing import Any

from perdure.model.actions import (
    CallEntity,
    CancelTimer,
    CompleteOrchestration,
    ContinueAsNewWith,
    CreateSubOrchestration,
    CreateTimer,
    ScheduleTask,
)
from perdure.model.codec import encode_history
from perdure.model.execution import SessionMissing, TurnDecided, TurnRequest
from perdure.model.history import (
    ContinueAsNew,
    EntityOperationCompleted,
    EntityOperationFailed,
    EventRaised,
    ExecutionCompleted,
    ExecutionStarted,
    OrchestratorStarted,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceFailed,
    TaskCompleted,
    TaskFailed,
    TimerFired,
)
from perdure.sdk import determinism
from perdure.sdk.histories import record
from perdure.sdk.options import SdkOptions
from perdure.sdk.replay import Sessions
from perdure.sdk.session import Session
from perdure.sdk.wire import run_orchestrator
from tests.conformance.oracle import Oracle, parse
from tests.conformance.programs import Program, compile_program

START = 1_575_847_121_324_092
MAX_TURNS = 16


class Disagreement(AssertionError):
    """The sides differ; the text holds the program, the history and both answers."""


#: where the published executor crashes on programs that are right; the run ends there
CRASHES = ("does not have pending sub-task",)


class _PublishedCrash(Exception):
    pass


class _PublishedTiming(Sessions):
    """Sessions whose retries pause once more at the end, so that numbers agree with the published executor's."""

    def _new_session(self, request: TurnRequest, prepared: Any) -> Session:
        session = super()._new_session(request, prepared)
        session.execution.published_timing = True
        return session


class World:
    """One instance of a program. Counts what happened to it in `seen`."""

    def __init__(self, program: Program, random: Random, oracle: Oracle) -> None:
        self.program = program
        self.random = random
        self.oracle = oracle
        function = compile_program(program.source)
        self.code = SimpleNamespace(function=function, name="orchestrator", input_type=None)
        self.live = _PublishedTiming(lambda name: self.code, SdkOptions())
        self.cold = _PublishedTiming(lambda name: self.code, SdkOptions(max_sessions=0))
        self.evicted = _PublishedTiming(lambda name: self.code, SdkOptions())
        self.input: Any = {"n": 1}
        self.generation = 0
        self.turns = 0
        self.seen: dict[str, int] = {}

    def run(self) -> int:
        """Run to the end, or until nothing is left to happen; the number of turns."""
        try:
            while self.turns < MAX_TURNS and self._run_generation():
                self.generation += 1
        except _PublishedCrash:
            self._count("published executor crashed")
        self.live.close()
        self.evicted.close()
        return self.turns

    def _count(self, what: str) -> None:
        self.seen[what] = self.seen.get(what, 0) + 1

    def _run_generation(self) -> bool:
        """True when another generation follows."""
        self.pending: dict[int, Any] = {}
        self.consumed: list[Any] = []
        self.waited: set[str] = set()
        self.raised_early: set[str] = set()
        self.calls: dict[int, str] = {}
        self.rows: list[bytes] = []
        self.history: list[dict[str, Any]] = []
        self.status: Any = None
        time = START
        turn = 0
        events: list[Any] = [ExecutionStarted("orchestrator", json.dumps(self.input))]
        while True:
            decided = self._turn(turn, time, events)
            self.turns += 1
            turn += 1
            end = decided.actions[-1] if decided.actions else None
            if isinstance(end, ContinueAsNewWith):
                self._count("continue_as_new")
                self.input = json.loads(json.loads(end.input)) if end.input else None
                return True
            if isinstance(end, CompleteOrchestration):
                self._count("failed" if end.failure else "completed")
                return False
            events = self._happenings()
            if not events or turn >= MAX_TURNS:
                self._count("waiting")
                return False
            time += self.random.choice([0, 1, 1_500_000])

    # -- what happens next

    def _happenings(self) -> list[Any]:
        events: list[Any] = []
        for _ in range(self.random.choice([1, 1, 1, 2, 3])):
            event = self._happening()
            if event is not None:
                events.append(event)
        return events

    def _happening(self) -> Any:
        open_waits = self._open_waits()
        early = [n for n in self.program.early if n not in self.waited and n not in self.raised_early]
        choices: list[Any] = [("done", number) for number in self.pending]
        choices += [("event", name) for name in open_waits]
        if early and self.random.random() < 0.6:
            choices.append(("early", self.random.choice(early)))
        if self.consumed and choices and self.random.random() < 0.1:
            self._count("duplicate")
            return self.random.choice(self.consumed)
        if not choices:
            return None
        kind, what = self.random.choice(choices)
        if kind == "done":
            return self._done(what)
        self._count("event after wait" if kind == "event" else "event before wait")
        if kind == "early":
            self.raised_early.add(what)
        else:
            self.claimed[what] = self.claimed.get(what, 0) + 1
        value = json.dumps(self.random.choice([None, True, "x", {"a": 1}, 7]))
        return EventRaised(what, value, client=self.random.random() < 0.5)

    def _open_waits(self) -> list[str]:
        session = self.live._sessions.get(1)
        waits = {} if session is None else session.execution.waits
        names = []
        for entries in waits.values():
            name = entries[0].name
            self.waited.add(name)
            # events of this turn that were drawn already take a wait each
            names += [name] * (len(entries) - self.claimed.get(name, 0))
        return names

    def _done(self, number: int) -> Any:
        if number != min(self.pending):
            self._count("out of order")
        action = self.pending.pop(number)
        if not isinstance(action, CreateTimer) and not self._is_awaited(number):
            self._count("result while not awaited")
        if isinstance(action, CreateTimer):
            event: Any = TimerFired(number, action.fire_at)
        else:
            event = self._answer(action, number, fails=self.random.random() < 0.3)
            if not isinstance(action, CallEntity):
                self.consumed.append(event)
        return event

    def _is_awaited(self, number: int) -> bool:
        """Whether the code waits for this task, or for one that it is part of."""
        session = self.live._sessions.get(1)
        assert session is not None
        task, parts = session.execution.open.get(number), [session.waits_for]
        while parts:
            part = parts.pop()
            if part is task:
                return True
            parts += getattr(part, "children", ())
        return False

    def _answer(self, action: Any, number: int, *, fails: bool) -> Any:
        if fails:
            self._count("failure")
        result = json.dumps(self.random.choice([None, number, "text", [1, {"b": None}]]))
        if isinstance(action, ScheduleTask):
            if action.name == "BuiltIn::HttpActivity":
                result = json.dumps({"statusCode": self.random.choice([200, 404]), "headers": {}, "content": "c"})
            text = f"Activity function '{action.name}' failed:  ValueError: boom"
            return TaskFailed(number, text, None) if fails else TaskCompleted(number, result)
        if isinstance(action, CreateSubOrchestration):
            text = f"Orchestrator function '{action.name}' failed: boom"
            failed = SubOrchestrationInstanceFailed(number, text, "details")
            return failed if fails else SubOrchestrationInstanceCompleted(number, result)
        return EntityOperationFailed(number, "boom!") if fails else EntityOperationCompleted(number, result)

    # -- one turn on all sides

    def _turn(self, turn: int, time: int, events: list[Any]) -> TurnDecided:
        def request(history: list[bytes] | None) -> TurnRequest:
            return TurnRequest(1, self.generation, turn, "inst", "orchestrator", time, events, history=history)

        self.claimed: dict[str, int] = {}
        self.history.append(_event(12, time))
        self.history += [self._to_wire(event, time) for event in events]
        live = self.live.run(request(None))
        cold = self.cold.run(request(list(self.rows)))
        if isinstance(cold, SessionMissing) or isinstance(live, SessionMissing):
            raise Disagreement(self._report(f"a session is missing: live {live}, replay {cold}"))
        self._same("live session", live, "replay on every turn", cold)
        # a third side loses its session at random moments
        if self.random.random() < 0.4:
            self.evicted.drop(1)
        evicted = self.evicted.run(request(None))
        if isinstance(evicted, SessionMissing):
            self._count("replayed after an eviction")
            evicted = self.evicted.run(request(list(self.rows)))
        self._same("live session", live, "session after evictions", evicted)
        assert isinstance(live, TurnDecided)
        if live.sets_status:
            self.status = None if live.custom_status is None else json.loads(live.custom_status)
        self._compare_with_oracle(live)
        self._remember(live, events, time)
        return live

    def _same(self, one: str, left: Any, other: str, right: Any) -> None:
        def face(outcome: Any) -> Any:
            if not isinstance(outcome, TurnDecided):
                return outcome
            return (outcome.actions, outcome.custom_status, outcome.sets_status, outcome.location)

        if face(left) != face(right):
            raise Disagreement(self._report(f"{one}: {face(left)}\n{other}: {face(right)}"))

    def _compare_with_oracle(self, live: TurnDecided) -> None:
        payload = {
            "history": self.history,
            "input": json.dumps(self.input),
            "instanceId": "inst",
            "isReplaying": False,
            "parentInstanceId": None,
            "upperSchemaVersion": 1,
            "upperSchemaVersionNew": 2,
        }
        published = self.oracle.ask(self.program.source, payload)
        try:
            ours = parse({"answer": run_orchestrator(self.code, json.dumps(payload))})
        except Exception as error:
            ours = parse({"error": str(error)})
        if any(text in (published.get("raised") or published.get("error") or "") for text in CRASHES):
            raise _PublishedCrash
        for answer in (published, ours):
            _drop_known_differences(answer)
        if published != ours:
            raise Disagreement(self._report(f"published: {json.dumps(published)}\nperdure:   {json.dumps(ours)}"))
        end = live.actions[-1] if live.actions else None
        expected = {key: published.get(key) for key in ("isDone", "output", "error", "customStatus")}
        found: dict[str, Any] = {
            "isDone": isinstance(end, (ContinueAsNewWith, CompleteOrchestration)) and not getattr(end, "failure", None),
            "output": None,
            "error": None,
            "customStatus": self.status or None,
        }
        if isinstance(end, CompleteOrchestration) and end.failure is not None:
            found["error"] = end.failure.message
        elif isinstance(end, CompleteOrchestration) and end.result is not None:
            found["output"] = json.loads(end.result)
        if found != expected:
            raise Disagreement(self._report(f"published: {json.dumps(expected)}\nlive:      {json.dumps(found)}"))

    def _remember(self, decided: TurnDecided, events: list[Any], time: int) -> None:
        row: list[Any] = [OrchestratorStarted(time), *events]
        record(row, decided.actions)
        for action in decided.actions:
            if isinstance(action, (ScheduleTask, CreateTimer, CreateSubOrchestration, CallEntity)):
                self.pending[action.id] = action
                self.history.append(self._scheduled(action, time))
            elif isinstance(action, CancelTimer):
                self._count("timer cancelled")
                self.pending.pop(action.id, None)
            elif isinstance(action, CompleteOrchestration):
                row.append(ExecutionCompleted(1, action.result))
            elif isinstance(action, ContinueAsNewWith):
                row.append(ContinueAsNew(action.input))
        self.history.append(_event(13, time))
        self.rows.append(encode_history(row))

    def _scheduled(self, action: Any, time: int) -> dict[str, Any]:
        if isinstance(action, ScheduleTask):
            return _event(4, time, action.id, Name=action.name, Input=action.input)
        if isinstance(action, CreateTimer):
            return _event(10, time, action.id, FireAt=_stamp(action.fire_at))
        if isinstance(action, CreateSubOrchestration):
            child = action.instance_id or "c"
            return _event(7, time, action.id, Name=action.name, InstanceId=child, Input=action.input)
        self.calls[action.id] = f"request-{self.generation}-{action.id}"
        call = json.dumps({"id": self.calls[action.id]})
        return _event(14, time, action.id, InstanceId=action.entity, Name="op", Input=call)

    def _to_wire(self, event: Any, time: int) -> dict[str, Any]:
        if isinstance(event, ExecutionStarted):
            return _event(0, time, Name=event.name, Input=event.input, Version="")
        if isinstance(event, (TaskCompleted, SubOrchestrationInstanceCompleted)):
            kind = 5 if isinstance(event, TaskCompleted) else 8
            return _event(kind, time, TaskScheduledId=event.task_scheduled_id, Result=event.result)
        if isinstance(event, (TaskFailed, SubOrchestrationInstanceFailed)):
            kind = 6 if isinstance(event, TaskFailed) else 9
            return _event(
                kind, time, TaskScheduledId=event.task_scheduled_id, Reason=event.reason, Details=event.details
            )
        if isinstance(event, TimerFired):
            return _event(11, time, TimerId=event.timer_id, FireAt=_stamp(event.fire_at))
        if isinstance(event, EventRaised):
            # the published client encodes what it raises once more
            return _event(15, time, Name=event.name, Input=json.dumps(event.input) if event.client else event.input)
        message: dict[str, Any] = {"result": event.result} if isinstance(event, EntityOperationCompleted) else {}
        if isinstance(event, EntityOperationFailed):
            message = {"result": json.dumps(event.reason), "exceptionType": "Exception"}
        return _event(15, time, Name=self.calls[event.task_scheduled_id], Input=json.dumps(message))

    def _report(self, difference: str) -> str:
        history = "\n".join(json.dumps(event) for event in self.history)
        return f"{difference}\n\n--- the orchestrator\n{self.program.source}\n--- its history\n{history}\n"


def _drop_known_differences(answer: dict[str, Any]) -> None:
    """What the list of deliberate differences allows to differ in the protocol itself."""
    if any(action["actionType"] == 4 for action in answer.get("actions", [[]])[0]):
        answer.pop("output", None)  # a value returned after continue_as_new, which nobody reads


def _stamp(time: int) -> str:
    return determinism.from_microseconds(time).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _event(kind: int, time: int, number: int = -1, **fields: Any) -> dict[str, Any]:
    return {"EventType": kind, "EventId": number, "IsPlayed": False, "Timestamp": _stamp(time), **fields}
