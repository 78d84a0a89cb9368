"""A session: a live generator or coroutine with its execution, advanced one turn at a time."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

import perdure
from perdure.model.actions import Action, CompleteOrchestration, ContinueAsNewWith
from perdure.model.execution import TurnRequest
from perdure.model.failure import FailureDetails, describe
from perdure.model.history import ExecutionStarted, HistoryEvent
from perdure.sdk import determinism, mistakes
from perdure.sdk.execution import Execution, HistoriesWanted, Phase
from perdure.sdk.failures import TaskFailedError
from perdure.sdk.location import raising_place, waiting_place
from perdure.sdk.orchestrator_code import Prepared
from perdure.sdk.serialization import dumps
from perdure.sdk.tasks import RUNNING, SUCCEEDED, TaskBase

logger = logging.getLogger("azure.functions.DurableFunctions")
_OWN_FILES = os.path.dirname(perdure.__file__) + os.sep


class Session:
    """One generation of one instance, standing at `turn`. All of it happens on one thread.

    `driven`: the function returned a generator or coroutine.
    `over`: the code returned, raised or continued as new. `waits_for` is the task that the code waits for.
    """

    __slots__ = (
        "_running",
        "_send",
        "_throw",
        "context",
        "driven",
        "error",
        "execution",
        "generation",
        "idle_since",
        "n",
        "outcome",
        "prepared",
        "turn",
        "used",
        "waits_for",
    )

    def __init__(self, request: TurnRequest, prepared: Prepared, execution: Execution) -> None:
        self.n = request.n
        self.generation = request.generation
        self.turn = 0
        self.prepared = prepared
        self.execution = execution
        self.context: Any = None
        self.waits_for: TaskBase[Any] | None = None
        self.outcome: CompleteOrchestration | None = None
        self.error: BaseException | None = None
        self.driven = False
        self._running: Any = None
        self._send: Callable[[Any], Any] = _not_started
        self._throw: Callable[[Any], Any] = _not_started
        self.used = True
        self.idle_since = 0.0

    @property
    def over(self) -> bool:
        return self.outcome is not None or self.execution.continuation is not None

    def advance(self, time: int, events: Sequence[HistoryEvent]) -> list[Action]:
        """Run the code as far as `events` carry it and give what it decided. `time` is the turn's, in microseconds."""
        execution = self.execution
        execution.actions = actions = execution.undecided
        execution.undecided = []
        if time > execution.now:
            execution.now = time
        execution.phase = Phase.RUNNING
        token = determinism.enter(execution)
        rest: Sequence[HistoryEvent] = ()
        try:
            for position, event in enumerate(events):
                if type(event) is ExecutionStarted:
                    execution.started(event)
                    self._start()
                else:
                    execution.apply(event)
                    waits_for = self.waits_for
                    if waits_for is not None and waits_for.state is not RUNNING:
                        self._drive(waits_for)
                if self.outcome is not None or execution.continuation is not None:
                    rest = events[position + 1 :]
                    break
        finally:
            execution.phase = Phase.IDLE
            determinism.leave(token)
        if self.outcome is not None:
            actions.append(self.outcome)
        elif execution.continuation is not None:
            actions.append(execution.continue_with(rest))
        return actions

    def take_status(self) -> tuple[bool, str | None]:
        """Whether the code set its custom status in this turn, and to which JSON text.

        A status that cannot be stored fails the orchestration.
        """
        execution = self.execution
        if not execution.status_set:
            return False, None
        execution.status_set = False
        value = execution.custom_status
        if value is None or (not value and not execution.dialect.keeps_falsy_status):
            return True, None
        try:
            text = dumps(value, "custom status")
            size = len(text.encode("utf-16-le", "surrogatepass"))
            limit = execution.options.custom_status_limit
            if size > limit:
                raise ValueError(
                    f"The UTF-16 size of the JSON-serialized payload must not exceed {limit // 1024} KB. "
                    f"The current payload size is {size / 1024:.2f} KB. (set_custom_status)"
                )
        except (TypeError, ValueError) as error:
            self._fail(error)
            ends = (CompleteOrchestration, ContinueAsNewWith)
            execution.actions[:] = [action for action in execution.actions if type(action) not in ends]
            execution.actions.append(self.outcome)  # type: ignore[arg-type]
            return False, None
        return True, text

    def location(self) -> str:
        """`file:line in function` where the code waits; empty when it does not."""
        return waiting_place(self._running) if self._running is not None else ""

    def close(self) -> None:
        """End the code here: its context is dead, what its `finally` blocks do or raise is ignored."""
        running, self._running = self._running, None
        self._send = self._throw = _not_started
        # its traceback holds this session
        self.waits_for = self.error = None
        execution = self.execution
        if running is not None:
            execution.phase = Phase.CLOSED
            # the code is being abandoned: whatever it raises or yields now concerns nobody
            with determinism.running(execution), contextlib.suppress(BaseException):
                running.close()
        execution.phase = Phase.GONE
        execution.let_go()

    def _start(self) -> None:
        prepared = self.prepared
        try:
            self.context, running = prepared.call(self.execution, self.context)
        except HistoriesWanted:
            raise
        except BaseException as error:  # noqa: BLE001  user code of any kind ends in a failed orchestration
            self._fail(error)
            return
        if hasattr(running, "__anext__"):
            self._fail(mistakes.async_generator(prepared.name, prepared.place))
        elif hasattr(running, "send") and hasattr(running, "throw"):
            self.driven = True
            self._running = running
            self._send = running.send
            self._throw = running.throw
            self._drive(_STARTING)
        elif self.execution.continuation is None:
            self._complete(running)

    def _drive(self, task: TaskBase[Any]) -> None:
        """Resume the code with the outcome of `task`, and again with every task that is complete when it waits."""
        execution = self.execution
        send, throw = self._send, self._throw
        while True:
            try:
                if task.state is SUCCEEDED:
                    yielded = send(task._value)
                else:
                    yielded = throw(task._value.with_traceback(None))
            except StopIteration as stop:
                self._forget()
                if execution.continuation is None:
                    self._complete(stop.value)
                return
            except HistoriesWanted:
                raise
            except BaseException as error:  # noqa: BLE001  user code of any kind ends in a failed orchestration
                self._forget()
                self._fail(error)
                return
            if not isinstance(yielded, TaskBase) or yielded._execution is not execution:
                where = self.location()
                if isinstance(yielded, TaskBase):
                    self._fail(mistakes.foreign_task(yielded, where))
                else:
                    self._fail(mistakes.yielded_no_task(yielded, where, awaited=self.prepared.is_coroutine))
                return
            if not yielded.scheduled:
                execution.schedule(yielded)
            if yielded.state is RUNNING:
                self.waits_for = yielded
                return
            task = yielded

    def _forget(self) -> None:
        self._running = None
        self.waits_for = None

    def _complete(self, value: Any) -> None:
        self._end()
        if self.execution.unscheduled:
            lost = mistakes.never_yielded(self.execution.unscheduled, self.prepared.name)
            if lost and lost not in self.prepared.warned:
                self.prepared.warned.add(lost)
                logger.warning(lost)
        if value is None:
            self.outcome = CompleteOrchestration()
            return
        try:
            if isinstance(value, TaskBase):
                raise mistakes.returned_task(value, self.prepared.name)
            self.outcome = CompleteOrchestration(dumps(value, "output"))
        except Exception as error:  # noqa: BLE001  a user's to_json may raise anything
            self._fail(error)

    def _end(self) -> None:
        """Locks are given back with the last turn."""
        if self.execution.section is not None:
            self.execution.section.leave()

    def _fail(self, error: BaseException) -> None:
        self.execution.continuation = None
        self._end()
        self.error = error
        self.outcome = failed(self.execution.name, error, is_coroutine=self.prepared.is_coroutine)


def failed(name: str, error: BaseException, *, is_coroutine: bool = False) -> CompleteOrchestration:
    """The action that ends an orchestration whose code raised `error`."""
    explanation = mistakes.explain(error, is_coroutine=is_coroutine)
    text = str(error) or str(type(error))
    if explanation:
        text = f"{text} ({explanation})" if isinstance(error, Exception) else explanation
    details = describe(error, hide=(_OWN_FILES,))
    details = FailureDetails(
        error_type=details.error_type,
        message=text,
        module=details.module,
        stack_trace=details.stack_trace or raising_place(error),
        cause=error.failure if isinstance(error, TaskFailedError) and error.failure is not None else details.cause,
    )
    return CompleteOrchestration(f"Orchestrator function '{name}' failed: {text}", details)


def _not_started(value: Any) -> Any:
    raise RuntimeError("the orchestrator code is not running")


_STARTING: TaskBase[Any] = TaskBase(-1)
_STARTING.state = SUCCEEDED
