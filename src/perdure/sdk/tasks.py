"""Task objects: what orchestrator code yields or awaits.

A task is settled once, by `settle`, which carries the outcome up through compounds without recursion. Creating a task
does nothing; `open` asks the execution for what it stands for and gives it its number.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from types import CodeType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from perdure.model.actions import CallEntity, CancelTimer, CreateSubOrchestration, CreateTimer, ScheduleTask
from perdure.sdk.failures import TaskCancelledError
from perdure.sdk.types import TaskState

if TYPE_CHECKING:
    from perdure.sdk.execution import Execution

T = TypeVar("T")

RUNNING = TaskState.RUNNING
SUCCEEDED = TaskState.SUCCEEDED
FAILED = TaskState.FAILED


class TaskBase(Generic[T]):
    """Something that orchestrator code waits for. Yield it (or await it) to get its result."""

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_execution",
        "_expected",
        "_origin",
        "_parent",
        "_value",
        "id",
        "is_played",
        "scheduled",
        "state",
    )

    #: the call that makes such a task, for people
    call = "task"

    def __init__(self, id_: Any = None, actions: Any = None) -> None:
        self.id = id_
        self.state = RUNNING
        self.is_played = False
        self.scheduled = False
        self._value: Any = None
        self._parent: Any = None  # None, one compound, or a list of them
        self._execution: Execution | None = None
        self._expected: Any = None
        self._origin: tuple[CodeType, int] | None = None
        if actions is not None:
            self.__dict__["action_repr"] = actions

    @property
    def result(self) -> Any:
        """The result once the task succeeded.

        1.x: None before that, the exception object after a failure. 2.0: raises `ValueError` before, the failure after.
        """
        if self._execution is not None and self._execution.dialect.result_raises:
            return self.get_result()
        return self._value

    @result.setter
    def result(self, value: Any) -> None:
        self._value = value

    @property
    def is_completed(self) -> bool:
        """Whether the task succeeded or failed."""
        return self.state is not RUNNING

    is_complete = is_completed

    @property
    def is_failed(self) -> bool:
        return self.state is FAILED

    def get_result(self) -> T:
        """The result. Raises `ValueError` when there is none yet, and the failure of a failed task."""
        if self.state is RUNNING:
            raise ValueError(f"The task has not completed: {self.describe()}")
        if self.state is FAILED:
            raise self._value
        result: T = self._value
        return result

    def get_exception(self) -> BaseException:
        """The failure. Raises `ValueError` when the task has not failed."""
        if self.state is not FAILED:
            raise ValueError(f"The task has not failed: {self.describe()}")
        error: BaseException = self._value
        return error

    @property
    def parent(self) -> CompoundTask[Any] | None:
        """The compound that waits for this task (the latest of several)."""
        parent = self._parent
        latest: CompoundTask[Any] | None = parent[-1] if type(parent) is list else parent
        return latest

    @parent.setter
    def parent(self, value: CompoundTask[Any] | None) -> None:
        self._parent = value

    @property
    def action_repr(self) -> Any:
        """What user tests gave as action; tasks of an orchestration have none."""
        return self.__dict__.get("action_repr")

    @action_repr.setter
    def action_repr(self, value: Any) -> None:
        self.__dict__["action_repr"] = value

    def set_is_played(self, is_played: bool) -> None:
        self.is_played = is_played

    def change_state(self, state: TaskState) -> None:
        """Move a running task to a final state. Raises `Exception` for RUNNING."""
        if state is RUNNING:
            raise Exception("Cannot change Task to the RUNNING state.")
        self.state = state

    def set_value(self, is_error: bool, value: Any) -> None:
        """Settle the task. Raises `Exception` when it is to fail with something that is no exception."""
        if is_error and not isinstance(value, Exception):
            inner = value._value if isinstance(value, TaskBase) else None
            if not isinstance(inner, Exception):
                raise Exception(f"Task ID {self.id} failed but it's value was not an Exception")
        settle(self, FAILED if is_error else SUCCEEDED, value)

    def propagate(self) -> None:
        """Tell the compounds above of this task's outcome."""
        if self.state is not RUNNING:
            settle(self, self.state, self._value)

    def open(self, execution: Execution) -> None:
        """Ask `execution` for what this task stands for."""

    def describe(self) -> str:
        """What the task stands for, as the call that made it."""
        return self.call

    def __await__(self) -> Generator[Any, Any, T]:
        result: T = yield self
        return result

    def __iter__(self) -> Iterator[Any]:
        self._is_no_result("iterated over")

    def __getitem__(self, key: Any) -> Any:
        self._is_no_result("indexed")

    def _is_no_result(self, how: str) -> NoReturn:
        raise TypeError(
            f"the task of {self.describe()} was {how}, but it is not the result itself: "
            f"write `yield {self.describe()}` (in async def: `await`) to get the result"
        )

    def __repr__(self) -> str:
        number = f" #{self.id}" if isinstance(self.id, int) and self.id >= 0 else ""
        return f"<{type(self).__name__} {self.describe()}{number} {self.state.name.lower()}>"


def settle(task: TaskBase[Any], state: TaskState, value: Any) -> None:
    """Give `task` its outcome and let the compounds above it, at any depth, draw theirs."""
    task.state = state
    task._value = value
    if task._parent is None:
        return
    settled: list[TaskBase[Any]] = [task]
    for done in settled:  # grows while it is walked
        parent = done._parent
        done._parent = None
        if parent is None:
            continue
        above = parent if type(parent) is list else (parent,)
        settled += [compound for compound in above if compound.child_settled(done)]


class AtomicTask(TaskBase[T]):
    """A task without children."""

    __slots__ = ()


class ActivityTask(AtomicTask[T]):
    __slots__ = ("_input", "attempt", "name")
    call = "call_activity"

    def __init__(self, execution: Execution, name: str, input_: str | None, expected: Any = None, attempt: int = 1):
        self.id = None
        self.state = RUNNING
        self.is_played = False
        self.scheduled = False
        self._value = None
        self._parent = None
        self._execution = execution
        self._expected = expected
        self._origin = None
        self.name = name
        self._input = input_
        self.attempt = attempt

    def open(self, execution: Execution) -> None:
        number = self.id = execution.take_number(self)
        execution.actions.append(ScheduleTask(number, self.name, self._input, self.attempt))
        self._input = None

    def describe(self) -> str:
        return f"context.call_activity({self.name!r})"


class SubOrchestrationTask(AtomicTask[T]):
    __slots__ = ("_input", "attempt", "instance_id", "name", "version")

    def __init__(
        self,
        execution: Execution,
        name: str,
        input_: str | None,
        instance_id: str | None,
        version: str | None,
        expected: Any = None,
        attempt: int = 1,
    ) -> None:
        super().__init__()
        self._execution = execution
        self._expected = expected
        self.name = name
        self._input = input_
        self.instance_id = instance_id
        self.version = version
        self.attempt = attempt

    def open(self, execution: Execution) -> None:
        number = self.id = execution.take_number(self)
        execution.actions.append(
            CreateSubOrchestration(number, self.name, self.instance_id, self._input, self.version, self.attempt)
        )
        self._input = None

    def describe(self) -> str:
        return f"context.call_sub_orchestrator({self.name!r})"


class EntityCallTask(AtomicTask[T]):
    __slots__ = ("_input", "entity", "operation")

    def __init__(self, execution: Execution, entity: str, operation: str, input_: str | None, expected: Any) -> None:
        super().__init__()
        self._execution = execution
        self._expected = expected
        self.entity = entity
        self.operation = operation
        self._input = input_

    def open(self, execution: Execution) -> None:
        number = self.id = execution.take_number(self)
        execution.actions.append(CallEntity(number, self.entity, self.operation, self._input))
        self._input = None

    def describe(self) -> str:
        return f"context.call_entity({self.entity!r}, {self.operation!r})"


class EventTask(AtomicTask[T]):
    """A wait for one external event. Keyed by the event's name, whatever its case; takes no number."""

    __slots__ = ("_cancelled", "name")

    def __init__(self, execution: Execution, name: str, expected: Any) -> None:
        super().__init__(name)
        self._execution = execution
        self._expected = expected
        self._cancelled = False
        self.name = name

    def open(self, execution: Execution) -> None:
        if not self._cancelled:
            execution.open_wait(self)

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled

    def cancel(self) -> bool:
        """Stop waiting; an event of this name goes to other waits. False when the task is over already."""
        if self.state is not RUNNING or self._cancelled:
            return False
        self._cancelled = True
        assert self._execution is not None
        self._execution.close_wait(self)
        _settle_cancelled(self)
        return True

    def describe(self) -> str:
        return f"context.wait_for_external_event({self.name!r})"


class TimerTask(AtomicTask[None]):
    """A durable timer of any length."""

    __slots__ = ("_cancelled", "fire_at")

    def __init__(self, id_: Any = None, action: Any = None, *, execution: Execution | None = None, fire_at: int = 0):
        super().__init__(id_, action)
        self._execution = execution
        self._cancelled = False
        self.fire_at = fire_at

    def open(self, execution: Execution) -> None:
        if not self._cancelled:
            number = self.id = execution.take_number(self)
            execution.actions.append(CreateTimer(number, self.fire_at))

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called. A cancelled timer never completes (2.0: completes, its result raises)."""
        return self._cancelled

    def is_canceled(self) -> bool:
        return self._cancelled

    def cancel(self) -> bool:
        """Cancel the timer; false when it was cancelled before.

        On a fired timer 1.x raises `ValueError`, 2.0 returns false.
        """
        execution = self._execution
        if self.state is not RUNNING:
            if self._cancelled or (execution is not None and execution.dialect.cancelled_completes):
                return False
            raise ValueError("Cannot cancel a completed task.")
        if self._cancelled:
            return False
        self._cancelled = True
        if execution is not None:
            if self.scheduled and execution.open.pop(self.id, None) is not None:
                execution.act(CancelTimer(self.id))
            _settle_cancelled(self)
        return True

    def describe(self) -> str:
        return "context.create_timer(...)"


LongTimerTask = TimerTask


def _settle_cancelled(task: TaskBase[Any]) -> None:
    if task._execution is not None and task._execution.dialect.cancelled_completes:
        settle(task, FAILED, TaskCancelledError(f"The task was cancelled: {task.describe()}"))


class CompoundTask(TaskBase[T]):
    """A task of tasks. Lives on its distinct children's outcomes; costs nothing per turn for those that wait."""

    __slots__ = ("_completed", "_failure", "_pending", "children")
    call = "compound task"

    def __init__(self, tasks: Iterable[TaskBase[Any]], execution: Execution | None = None) -> None:
        super().__init__(-1)
        self._execution = execution
        self.children = check_children(tasks, self.call)
        self._completed: list[TaskBase[Any]] = []
        self._failure: Any = None
        distinct: list[TaskBase[Any]] = list(dict.fromkeys(self.children))
        self._pending = len(distinct)
        if not distinct:
            if execution is None or execution.dialect.empty_compound_completes:
                self.state = SUCCEEDED
            return
        for child in distinct:
            if child.state is not RUNNING:
                self.child_settled(child)
        if self.state is RUNNING:
            for child in distinct:
                if child.state is RUNNING:
                    self._attach(child)

    @property
    def pending_tasks(self) -> set[TaskBase[Any]]:
        """The children that are not complete."""
        return {child for child in self.children if child.state is RUNNING}

    @property
    def completed_tasks(self) -> list[TaskBase[Any]]:
        """The children that are complete, those that settled this task first."""
        seen = set(self._completed)
        late = [c for c in dict.fromkeys(self.children) if c.state is not RUNNING and c not in seen]
        return self._completed + late

    def handle_completion(self, child: TaskBase[Any]) -> None:
        """Take note that `child` is complete."""
        if self.child_settled(child):
            settle(self, self.state, self._value)

    def child_settled(self, child: TaskBase[Any]) -> bool:
        """Take note of a child's outcome; true when it settles this task."""
        raise NotImplementedError

    def _finish(self, state: TaskState, value: Any, is_played: bool) -> bool:
        self.state = state
        self._value = value
        self.is_played = is_played
        for child in self.children:
            if child.state is RUNNING:
                self._detach(child)
        return True

    def _attach(self, child: TaskBase[Any]) -> None:
        above = child._parent
        if above is None:
            child._parent = self
        elif type(above) is list:
            above.append(self)
        else:
            child._parent = [above, self]

    def _detach(self, child: TaskBase[Any]) -> None:
        above = child._parent
        if above is self:
            child._parent = None
        elif type(above) is list and self in above:
            above.remove(self)


class WhenAllTask(CompoundTask[list[Any]]):
    """`task_all`: the results of all children in list order. 1.x fails at the first failure, 2.0 when all are over."""

    __slots__ = ()
    call = "context.task_all"

    def child_settled(self, child: TaskBase[Any]) -> bool:
        if self.state is not RUNNING:
            return False
        self._pending -= 1
        self._completed.append(child)
        if child.state is FAILED and self._failure is None:
            self._failure = child._value
            if self._execution is None or self._execution.dialect.all_fails_fast:
                return self._finish(FAILED, self._failure, child.is_played)
        if self._pending:
            return False
        if self._failure is not None:
            return self._finish(FAILED, self._failure, child.is_played)
        return self._finish(SUCCEEDED, [c._value for c in self.children], child.is_played)

    def describe(self) -> str:
        return f"context.task_all([{_listing(self.children)}])"


class WhenAnyTask(CompoundTask[TaskBase[Any]]):
    """`task_any`: the first child that is complete, failed or not."""

    __slots__ = ()
    call = "context.task_any"

    def child_settled(self, child: TaskBase[Any]) -> bool:
        if self.state is not RUNNING:
            return False
        self._pending -= 1
        self._completed.append(child)
        return self._finish(SUCCEEDED, child, child.is_played)

    def describe(self) -> str:
        return f"context.task_any([{_listing(self.children)}])"


class SequenceTask(CompoundTask[T]):
    """A task carried out as atomic tasks one after the other: `child_settled` starts the next or settles this one."""

    __slots__ = ()

    def _go_on_with(self, task: TaskBase[Any]) -> bool:
        assert self._execution is not None
        self._pending += 1
        task._parent = self
        self._execution.schedule(task)
        return False


def check_children(tasks: Any, call: str) -> list[TaskBase[Any]]:
    """The tasks of a compound as a list. Raises `TypeError` that names what is no task, and where it is."""
    try:
        children = list(tasks)
    except TypeError:
        raise TypeError(f"{call} expects a list of tasks, not {type(tasks).__name__}") from None
    for position, child in enumerate(children):
        if not isinstance(child, TaskBase):
            raise TypeError(
                f"{call} expects tasks, but item {position} of the list is a {type(child).__name__}"
                f"{_looks_like(child)}: pass what context.call_activity, context.create_timer and the like return"
            )
    return children


def _looks_like(value: Any) -> str:
    if hasattr(value, "cr_await"):
        return " (a coroutine; only durable tasks can be combined)"
    if hasattr(value, "gi_frame"):
        return " (a generator; `yield from` it by itself)"
    return ""


def _listing(children: list[TaskBase[Any]]) -> str:
    shown = ", ".join(child.describe().replace("context.", "") for child in children[:3])
    return shown if len(children) <= 3 else f"{shown}, ... {len(children)} tasks"
