"""Tasks of tasks: all, any, and what is carried out one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from perdure.sdk.tasks import FAILED, RUNNING, SUCCEEDED, TaskBase, settle
from perdure.sdk.types import TaskState

if TYPE_CHECKING:
    from perdure.sdk.execution import Execution

T = TypeVar("T")


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
