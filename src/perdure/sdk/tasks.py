"""Tasks: what orchestrator code yields or awaits. Their kinds are in `atomic_tasks.py` and `compound_tasks.py`.

A task is settled once, by `settle`, which carries the outcome up through compounds without recursion. Creating a task
does nothing; `open` asks the execution for what it stands for and gives it its number.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from types import CodeType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from perdure.sdk.types import TaskState

if TYPE_CHECKING:
    from perdure.sdk.compound_tasks import CompoundTask
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
