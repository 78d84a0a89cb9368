"""User code in this process: an `Executor` for the task hub with one worker that is a plain object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace

from perdure.model.execution import (
    ActivityLost,
    ActivityOutcome,
    ActivityRequest,
    EntityLost,
    EntityOutcome,
    EntityRequest,
    TurnLost,
    TurnOutcome,
    TurnRequest,
)
from perdure.taskhub.interfaces import Clock

T = TypeVar("T")


class TurnRunner(Protocol):
    """Sessions of orchestrations; `sdk.replay.Sessions` is one."""

    def run(self, request: TurnRequest) -> TurnOutcome:
        """Advance an orchestration."""

    def drop(self, n: int) -> None:
        """Forget the session of `n`."""

    def close(self) -> None:
        """Forget all."""


class Functions(Protocol):
    """What user code there is, and how to run it."""

    def sessions(self, evicted: Callable[[int], None]) -> TurnRunner:
        """The sessions of a fresh worker."""

    def run_activity(self, request: ActivityRequest, now: int) -> ActivityOutcome:
        """Run an activity to its end."""

    def run_entity(self, request: EntityRequest) -> EntityOutcome:
        """Run a batch of operations."""


class InProcessExecutor:
    """Runs `functions` on `clock`; a `taskhub.interfaces.Executor`.

    `delay` gives, for "turn", "activity" and "entity", how many seconds the outcome takes to come back; the code has
    run by then. `slots` bounds the activities under way.
    """

    def __init__(
        self,
        clock: Clock,
        functions: Functions,
        *,
        slots: int = 10,
        delay: Callable[[str], float] = lambda kind: 0.0,
    ) -> None:
        self.on_room: Callable[[], None] = lambda: None
        self._clock = clock
        self._functions = functions
        self._slots = slots
        self._delay = delay
        self._running: dict[_Running, None] = {}
        self._activities = 0
        self._stands: dict[int, tuple[int, int]] = {}
        self._sessions = functions.sessions(self._evicted)

    def has_session(self, n: int, generation: int, turn: int) -> bool:
        return self._stands.get(n) == (generation, turn)

    def run_turn(self, request: TurnRequest, done: Callable[[TurnOutcome], None]) -> None:
        self._stands.pop(request.n, None)
        lost: TurnOutcome = TurnLost(request.n, request.generation, request.base_turn, False, "the worker died")
        self._run("turn", lambda: self._sessions.run(request), lost, done, request.suspect)

    def turn_applied(self, n: int, generation: int, turn: int) -> None:
        self._stands[n] = (generation, turn)

    def drop_session(self, n: int) -> None:
        self._stands.pop(n, None)
        self._sessions.drop(n)

    def run_activity(self, request: ActivityRequest, done: Callable[[ActivityOutcome], None]) -> None:
        self._activities += 1

        def ended(outcome: ActivityOutcome) -> None:
            self._activities -= 1
            done(outcome)

        lost: ActivityOutcome = ActivityLost(
            request.n, request.generation, request.task, False, True, "the worker died"
        )
        self._run(
            "activity", lambda: self._functions.run_activity(request, self._clock.now()), lost, ended, request.suspect
        )

    def cancel_activity(self, n: int, generation: int, task: int, running: bool = True) -> None:
        """Activities have run by the time they could be cancelled."""

    def activity_runs(self, n: int, generation: int, task: int) -> tuple[str, float] | None:
        """Activities run in no time, when their answer is due."""
        return None

    def run_entity(self, request: EntityRequest, done: Callable[[EntityOutcome], None]) -> None:
        lost: EntityOutcome = EntityLost(request.n, request.base_turn, False, "the worker died")
        self._run("entity", lambda: self._functions.run_entity(request), lost, done, request.suspect)

    def activity_room(self) -> tuple[int, int]:
        room = self._slots - self._activities
        return room, room

    def evict(self, n: int) -> None:
        """The worker forgets a session and does not tell."""
        self._sessions.drop(n)

    def evictable(self) -> list[int]:
        """Numbers of instances believed to have a session."""
        return list(self._stands)

    def suspicion(self) -> int:
        """The largest count of deaths among what runs, as it is stored (1: under others; above: alone)."""
        return max((call.suspect for call in self._running), default=0)

    def die(self) -> None:
        """The worker dies, with its sessions and all it runs; a fresh one takes its place."""
        self._sessions.close()
        self._sessions = self._functions.sessions(self._evicted)
        self._stands.clear()
        running, self._running = self._running, {}
        for call in running:
            call.lose(alone=len(running) == 1)

    def close(self) -> None:
        """End the worker: its sessions are closed, what it ran is not told."""
        self._running.clear()
        self._stands.clear()
        self._sessions.close()

    def _evicted(self, n: int) -> None:
        self._stands.pop(n, None)

    def _run(self, kind: str, run: Callable[[], T], lost: T, done: Callable[[T], None], suspect: int) -> None:
        # one of several for the same instance, when the hub has given up another: each has its answer
        call = _Running(self._clock, lost, done, suspect)
        self._running[call] = None

        def start() -> None:
            if call in self._running:
                call.began = True
                outcome = run()
                self._clock.later(self._delay(kind), lambda: finish(outcome))

        def finish(outcome: T) -> None:
            if call in self._running:
                del self._running[call]
                done(outcome)

        self._clock.soon(start)


class _Running:
    """One run of user code: it ends with its outcome, or is lost with the worker."""

    def __init__(self, clock: Clock, lost: Any, done: Callable[[Any], None], suspect: int) -> None:
        self.began, self.suspect = False, suspect
        self._clock, self._lost, self._done = clock, lost, done

    def lose(self, *, alone: bool) -> None:
        lost = replace(self._lost, alone=alone)
        if isinstance(lost, ActivityLost):
            lost = replace(lost, began=self.began)
        self._clock.soon(lambda: self._done(lost))
