"""Tasks that are tried again: an attempt, a durable timer, the next attempt, until success or the policy's end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from perdure.sdk.atomic_tasks import TimerTask
from perdure.sdk.compound_tasks import SequenceTask
from perdure.sdk.retry import next_pause
from perdure.sdk.tasks import FAILED, RUNNING, SUCCEEDED, TaskBase
from perdure.sdk.types import RetryPolicy

if TYPE_CHECKING:
    from perdure.sdk.execution import Execution

_MICROSECOND = timedelta(microseconds=1)


class RetryAbleTask(SequenceTask[Any]):
    """A call with retry options. `num_attempts` counts attempts begun; `retry_options` is the policy.

    Every attempt and every timer takes its own number when it begins, as part of the turn in which the one before it
    ended, whatever the orchestrator waits for just then. So no attempt can be missed.
    """

    __slots__ = ("_attempt", "_last_pause", "_new_attempt", "_started", "error", "num_attempts", "retry_options")

    def __init__(
        self,
        execution: Execution,
        policy: RetryPolicy,
        first: TaskBase[Any],
        new_attempt: Callable[[int], TaskBase[Any]],
    ) -> None:
        self.retry_options = policy
        self.num_attempts = 1
        self.error: Any = None
        self._attempt = first
        self._new_attempt = new_attempt
        self._started = -1
        self._last_pause = False
        super().__init__([first], execution)

    @property
    def id_(self) -> str:
        return f"{[child.id for child in self.children]}_retryable_proxy"

    @property
    def is_waiting_on_timer(self) -> bool:
        return self.state is RUNNING and self.error is not None and self._attempt.state is FAILED

    def open(self, execution: Execution) -> None:
        self._started = execution.now

    def child_settled(self, child: TaskBase[Any]) -> bool:
        execution = self._execution
        assert execution is not None
        self._pending -= 1
        if child is not self._attempt:  # the timer fired
            if self._last_pause:
                return self._finish(FAILED, self.error, child.is_played)
            self.num_attempts += 1
            self._attempt = self._new_attempt(self.num_attempts)
            return self._go_on_with(self._attempt)
        if child.state is SUCCEEDED:
            return self._finish(SUCCEEDED, child._value, child.is_played)
        self.error = child._value
        pause = next_pause(self.retry_options, self.num_attempts, self._started, execution.now)
        if pause is None:
            if not execution.published_timing:
                return self._finish(FAILED, self.error, child.is_played)
            self._last_pause = True
            pause = self.retry_options.delay_after(self.num_attempts) // _MICROSECOND
        return self._go_on_with(TimerTask(execution=execution, fire_at=execution.now + pause))

    def describe(self) -> str:
        return self._attempt.describe().replace("(", "_with_retry(", 1)
