"""A hub on the memory store and virtual time, with orchestrations given as tables of decisions."""

from __future__ import annotations

from collections.abc import Callable

from perdure.model.actions import Action
from perdure.model.codec import decode_history
from perdure.model.execution import (
    ActivityCompleted,
    ActivityFailed,
    ActivityOutcome,
    ActivityRequest,
    EntityDecided,
    EntityOutcome,
    EntityRequest,
    OperationResult,
    SessionMissing,
    TurnDecided,
    TurnOutcome,
    TurnRequest,
)
from perdure.model.history import HistoryEvent
from perdure.model.operations import Found, GetInstance, Operation, OperationAnswer
from perdure.storage.memory import MemoryDatabase, MemoryStore
from perdure.taskhub.client import HubClient
from perdure.taskhub.core import TaskHub
from perdure.taskhub.options import HubOptions
from perdure.taskhub.telemetry import Telemetry
from perdure.testing.clock import VirtualClock, VirtualTime

#: what a scripted orchestration decides: (turn number within the generation, new events) -> actions
Script = Callable[[int, list[HistoryEvent]], list[Action]]


class ScriptedExecutor:
    """Answers turns from scripts, activities from functions; keeps no sessions unless `hot`."""

    def __init__(self, clock: VirtualClock, scripts: dict[str, Script], *, hot: bool = True, slots: int = 100) -> None:
        self._clock, self._scripts, self._hot = clock, scripts, hot
        self._standing: dict[int, tuple[int, int, int]] = {}
        self.on_room: Callable[[], None] = lambda: None
        self.slots = slots
        #: None: as many as slots; `coroutines` need none
        self.threads: int | None = None
        self.coroutines: frozenset[str] = frozenset()
        self.ran: list[ActivityRequest] = []
        self.turns: list[TurnRequest] = []
        self.activities: dict[str, Callable[[str | None], str | None]] = {}
        self.hold: set[str] = set()
        self.held: list[tuple[ActivityRequest, Callable[[ActivityOutcome], None]]] = []
        self.turn_seconds = 0.0
        self.batches: list[EntityRequest] = []
        self.cancelled: list[tuple[int, int, int, bool]] = []
        self.clears = False

    def has_session(self, n: int, generation: int, turn: int) -> bool:
        return self._hot and self._standing.get(n, (0, 0, 0))[:2] == (generation, turn)

    def run_turn(self, request: TurnRequest, done: Callable[[TurnOutcome], None]) -> None:
        self.turns.append(request)
        standing = self._standing.get(request.n)
        if request.history is None and (standing is None or standing[:2] != (request.generation, request.base_turn)):
            self._clock.soon(lambda: done(SessionMissing(request.n, request.generation, request.base_turn)))
            return
        step = standing[2] if request.history is None and standing else len(code_rows(request.history or []))
        actions = self._scripts[request.name.lower()](step, request.events)
        self._standing[request.n] = (request.generation, request.base_turn + 1, step + 1)
        outcome = TurnDecided(request.n, request.generation, request.base_turn, actions)
        self._clock.later(self.turn_seconds, lambda: done(outcome))

    def turn_applied(self, n: int, generation: int, turn: int) -> None:
        standing = self._standing.get(n)
        assert standing is None or standing[0] != generation or standing[1] <= turn

    def drop_session(self, n: int) -> None:
        self._standing.pop(n, None)

    def run_activity(self, request: ActivityRequest, done: Callable[[ActivityOutcome], None]) -> None:
        self.ran.append(request)
        if request.name in self.hold:
            self.held.append((request, done))
            return
        self._clock.soon(lambda: done(self.outcome(request)))

    def outcome(self, request: ActivityRequest) -> ActivityOutcome:
        key = (request.n, request.generation, request.task)
        try:
            return ActivityCompleted(*key, self.activities.get(request.name, lambda text: text)(request.input))
        except ValueError as error:
            return ActivityFailed(*key, f"Activity function '{request.name}' failed:  ValueError: {error}")

    def release(self) -> None:
        held, self.held = self.held, []
        for request, done in held:
            outcome = self.outcome(request)
            self._clock.soon(lambda done=done, outcome=outcome: done(outcome))

    def cancel_activity(self, n: int, generation: int, task: int, running: bool = True) -> None:
        self.cancelled.append((n, generation, task, running))

    def activity_runs(self, n: int, generation: int, task: int) -> tuple[str, float] | None:
        held = any((one.n, one.generation, one.task) == (n, generation, task) for one, _ in self.held)
        return ("worker-1 (process 7)", 2.0) if held else None

    def run_entity(self, request: EntityRequest, done: Callable[[EntityOutcome], None]) -> None:
        self.batches.append(request)
        state = int(request.state or "0")
        results = []
        for operation in request.operations:
            if operation.operation == "add":
                state += int(operation.input or "0")
            results.append(OperationResult(str(state)))
        decided = EntityDecided(request.n, request.base_turn, results, None if self.clears else str(state))
        self._clock.later(self.turn_seconds, lambda: done(decided))

    def activity_room(self) -> tuple[int, int]:
        if self.threads is None:
            return self.slots, self.slots
        plain = sum(1 for request, _ in self.held if request.name.lower() not in self.coroutines)
        return self.slots, max(0, self.threads - plain)


def code_rows(history: list[bytes]) -> list[list[HistoryEvent]]:
    """The rows in which user code ran."""
    rows = [decode_history(row) for row in history]
    return [row for row in rows if not any(type(e).__name__.startswith(("ExecutionSusp", "ExecutionRes")) for e in row)]


class NoWakes:
    """Nobody else is there."""

    def __init__(self) -> None:
        self.woken: list[tuple[int, int]] = []

    def wake(self, token: int, n: int = 0) -> None:
        self.woken.append((token, n))


class Bench:
    """One hub (or several on the same database) with a client."""

    def __init__(
        self,
        scripts: dict[str, Script],
        database: MemoryDatabase | None = None,
        telemetry: Telemetry | None = None,
        **options: object,
    ) -> None:
        self.time = database.clock.time if database is not None else VirtualTime()  # type: ignore[attr-defined]
        self.clock = VirtualClock(self.time)
        self.database = database or MemoryDatabase(self.clock)
        hot = bool(options.pop("hot", True))
        slots = int(options.pop("slots", 100))  # type: ignore[call-overload]
        threads = options.pop("threads", None)
        self.executor = ScriptedExecutor(self.clock, {k.lower(): v for k, v in scripts.items()}, hot=hot, slots=slots)
        self.executor.threads = threads  # type: ignore[assignment]
        self.executor.coroutines = options.get("coroutines", frozenset())  # type: ignore[assignment]
        names = {"orchestration": tuple(scripts), "activity": ("A", "B", "Fail"), "entity": ("counter",)}
        self.store = MemoryStore(self.database, self.clock)
        self.hub = TaskHub(
            self.store, self.executor, self.clock, NoWakes(), HubOptions(names=names, **options), telemetry
        )  # type: ignore[arg-type]
        self.client = HubClient(self.hub)
        started: list[bool] = []
        self.hub.start(lambda: started.append(True))
        assert self.time.run_until(lambda: bool(started), within=5)

    def call(self, operation: Operation, within: float = 30) -> OperationAnswer:
        answers: list[OperationAnswer] = []
        self.client.call(operation, answers.append)
        assert self.time.run_until(lambda: bool(answers), within=within), f"no answer to {operation}"
        return answers[0]

    def status(self, instance_id: str) -> str:
        found = self.call(GetInstance(instance_id))
        return found.record.status.label if isinstance(found, Found) else ""

    def wait(self, instance_id: str, within: float = 60) -> Found:
        end = self.time.now + within * 1_000_000
        while self.time.now < end:
            found = self.call(GetInstance(instance_id, with_history=True))
            if isinstance(found, Found) and found.record.status.is_terminal:
                return found
            self.time.advance(0.05)
        raise AssertionError(f"{instance_id}: {self.call(GetInstance(instance_id, True))}"[:2000])
