"""The ports of the task hub. All take callbacks; what drives them (asyncio, a simulation) is behind them.

Callbacks come on the hub's thread, one at a time, and never from inside the call that asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from perdure.model.execution import (
    ActivityOutcome,
    ActivityRequest,
    EntityOutcome,
    EntityRequest,
    TurnOutcome,
    TurnRequest,
)
from perdure.storage.provider import Provider

Store = Provider


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Forget it; nothing happens when it already ran."""


class Clock(Protocol):
    """Time and later calls."""

    def now(self) -> int:
        """Microseconds since 1970, by this host."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def soon(self, call: Callable[[], None]) -> None:
        """Call after what is under way, once all that arrived together has been handed over."""

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call after `seconds`."""

    def random(self) -> float:
        """A number in [0, 1), for jitter only."""


class Executor(Protocol):
    """Runs user code."""

    #: to be called when activities may find room that found none before, though none of them has ended
    on_room: Callable[[], None]

    def has_session(self, n: int, generation: int, turn: int) -> bool:
        """Whether a worker is believed to hold a live session of this generation that stands at `turn`."""

    def run_turn(self, request: TurnRequest, done: Callable[[TurnOutcome], None]) -> None:
        """Advance an orchestration. One turn of an instance is under way at a time."""

    def turn_applied(self, n: int, generation: int, turn: int) -> None:
        """The decision that `run_turn` gave is durable: the session now stands at `turn`."""

    def drop_session(self, n: int) -> None:
        """The session must not be used again (its turn was not applied, or the instance ended)."""

    def run_activity(self, request: ActivityRequest, done: Callable[[ActivityOutcome], None]) -> None:
        """Run an activity."""

    def cancel_activity(self, n: int, generation: int, task: int, running: bool = True) -> None:
        """Nobody wants the result any more: drop it if it has not begun, cancel it if it is a coroutine.

        `running` false: what has begun runs on, coroutines too.
        """

    def activity_runs(self, n: int, generation: int, task: int) -> tuple[str, float] | None:
        """The process in which code of an activity has begun, and about how many seconds ago; None: it has not."""

    def run_entity(self, request: EntityRequest, done: Callable[[EntityOutcome], None]) -> None:
        """Run a batch of operations on one entity."""

    def activity_room(self) -> tuple[int, int]:
        """How many more activities can run now, and how many of them plain ones, which need a free thread each."""


class Wakes(Protocol):
    """Tells other hosts of the hub that something waits for them. May be lost."""

    def wake(self, token: int, n: int = 0) -> None:
        """The host with this token has a message for instance `n` (0: for whom is not said). Token 0: any host may
        find work in the store."""
