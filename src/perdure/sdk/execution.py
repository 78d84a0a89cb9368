"""One generation of one orchestration as its code sees it: numbers, open tasks, buffered events, decisions of a turn.

Deterministic: what comes out depends only on the events that went in and on what the code did.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

from perdure.model.actions import Action, CarriedEvent, ContinueAsNewWith
from perdure.model.history import (
    EntityLockGranted,
    EntityOperationCompleted,
    EntityOperationFailed,
    EventRaised,
    ExecutionStarted,
    HistoryEvent,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceFailed,
    TaskCompleted,
    TaskFailed,
    TimerFired,
)
from perdure.sdk.atomic_tasks import EntityCallTask, EventTask
from perdure.sdk.compound_tasks import CompoundTask
from perdure.sdk.dialect import Dialect
from perdure.sdk.expectation import decode
from perdure.sdk.failures import TaskFailedError
from perdure.sdk.options import SdkOptions
from perdure.sdk.serialization import loads, net_input
from perdure.sdk.tasks import FAILED, SUCCEEDED, TaskBase, settle

if TYPE_CHECKING:
    from perdure.sdk.locks import CriticalSection


class HistoriesWanted(BaseException):
    """The code asked for `context.histories` in a session that keeps none: build it anew, keeping them."""


class Phase(Enum):
    """What calls on the context mean just now."""

    IDLE = "between turns"
    RUNNING = "inside a turn"
    CLOSED = "closed: calls do nothing"
    GONE = "over: calls are mistakes"


class Execution:
    """State behind the context objects. `now` in microseconds; `actions` are what this turn has decided so far."""

    __slots__ = (
        "actions",
        "buffered",
        "continuation",
        "custom_status",
        "dialect",
        "generation",
        "history",
        "input",
        "instance_id",
        "name",
        "next_number",
        "now",
        "observer",
        "open",
        "options",
        "parent_id",
        "phase",
        "published_timing",
        "raised",
        "replaying",
        "section",
        "status_set",
        "tags",
        "undecided",
        "unscheduled",
        "uuid_counter",
        "version",
        "waits",
    )

    def __init__(
        self, instance_id: str, name: str, dialect: Dialect, options: SdkOptions, now: int = 0, generation: int = 0
    ) -> None:
        self.instance_id = instance_id
        self.name = name
        self.dialect = dialect
        self.options = options
        self.now = now
        self.generation = generation
        self.phase = Phase.IDLE
        self.replaying = False
        self.input: str | None = None
        self.version = ""
        self.parent_id: str | None = None
        self.tags: dict[str, str] | None = None
        self.actions: list[Action] = []
        self.next_number = 0
        self.open: dict[Any, TaskBase[Any]] = {}
        self.waits: dict[str, list[EventTask[Any]]] = {}
        self.buffered: dict[str, deque[tuple[int, EventRaised]]] = {}
        self.raised = 0
        self.continuation: tuple[str | None, bool] | None = None
        self.custom_status: Any = None
        self.status_set = False
        self.uuid_counter = 0
        self.history: list[HistoryEvent] | None = None
        self.undecided: list[Action] = []
        #: tasks that were made and not yielded yet, where the dialect schedules at the yield
        self.unscheduled: set[TaskBase[Any]] = set()
        #: the critical section that the code is in
        self.section: CriticalSection | None = None
        #: told of every task when it is yielded and of every action decided at a call (the 1.x protocol needs it)
        self.observer: Callable[[Any], None] | None = None
        #: as the published executor: one more retry timer after the last attempt, no polling of durable HTTP
        self.published_timing = False

    @property
    def silent(self) -> bool:
        """Whether what the code logs now has been logged before, or is none of anybody's business."""
        return self.replaying or self.phase is not Phase.RUNNING

    # -- what the code asks for

    def take_number(self, task: TaskBase[Any]) -> int:
        """The next task id; `task` is open under it from now on."""
        number = self.next_number
        self.next_number = number + 1
        self.open[number] = task
        return number

    def skip_number(self) -> int:
        """The next task id, for an action that nothing answers."""
        number = self.next_number
        self.next_number = number + 1
        return number

    def act(self, action: Action) -> None:
        """Decide `action`, unless this generation has ended already."""
        if self.phase is not Phase.RUNNING:
            self._outside(type(action).__name__)
        elif self.continuation is None:
            self.actions.append(action)
            if self.observer is not None:
                self.observer(action)

    def is_running(self, call: str) -> bool:
        """Whether `call` counts: false while the code is being closed; raises `RuntimeError` outside a turn."""
        if self.phase is not Phase.RUNNING:
            self._outside(call)
            return False
        return True

    def begin(self, task: TaskBase[Any]) -> None:
        """A task was created: schedule it now where the dialect schedules at the call."""
        if self.phase is not Phase.RUNNING:
            self._outside(task.describe())
        elif self.dialect.schedules_at_call:
            self.schedule(task)
        else:
            self.unscheduled.add(task)

    def schedule(self, task: TaskBase[Any]) -> None:
        """Open `task`, or the children of a compound depth first in list order, each once. Never recursion."""
        if self.continuation is not None:
            return
        if self.observer is not None:
            self.observer(task)
        if not isinstance(task, CompoundTask):
            if not task.scheduled:
                task.scheduled = True
                self.unscheduled.discard(task)
                task.open(self)
            return
        stack: list[TaskBase[Any]] = [task]
        while stack:
            top = stack.pop()
            if top.scheduled:
                continue
            top.scheduled = True
            self.unscheduled.discard(top)
            top.open(self)
            if isinstance(top, CompoundTask):
                stack.extend(reversed(top.children))

    def _outside(self, call: str) -> None:
        if self.phase is Phase.CLOSED:
            return
        raise RuntimeError(
            f"{call} was used outside the orchestrator '{self.name}' of instance '{self.instance_id}': "
            f"its context is {self.phase.value}. Use a context only inside the orchestrator function that got it, "
            "never from another thread, an activity or a stored reference"
        )

    def skip_numbers(self, recorded: Sequence[HistoryEvent]) -> None:
        """Never give a number again that a recorded decision holds."""
        for event in recorded:
            self.next_number = max(self.next_number, getattr(event, "event_id", -1) + 1)

    def let_go(self) -> None:
        """Forget the tasks of code that is over: with them it would be garbage only a search for cycles could find."""
        left = [*self.open.values(), *(wait for waits in self.waits.values() for wait in waits)]
        for task in left:  # grows while it is walked: compounds and their children know each other
            above, task._parent = task._parent, None
            if above is not None:
                left += above if type(above) is list else (above,)
        self.open.clear()
        self.waits.clear()
        self.unscheduled.clear()

    # -- external events

    def open_wait(self, task: EventTask[Any]) -> None:
        """Wait for an event; the oldest buffered one of this name completes the wait at once."""
        key = task.name.lower()
        early = self.buffered.get(key)
        if early:
            _, event = early.popleft()
            if not early:
                del self.buffered[key]
            self._settle_event(task, event)
        else:
            self.waits.setdefault(key, []).append(task)

    def close_wait(self, task: EventTask[Any]) -> None:
        """Forget a wait that was cancelled."""
        key = task.name.lower()
        waits = self.waits.get(key, [])
        if task in waits:
            waits.remove(task)
            if not waits:
                del self.waits[key]

    def _event_raised(self, event: EventRaised) -> None:
        key = event.name.lower()
        waits = self.waits.get(key)
        if not waits:
            self.raised += 1
            self.buffered.setdefault(key, deque()).append((self.raised, event))
            return
        task = waits.pop() if self.dialect.waits_last_first else waits.pop(0)
        if not waits:
            del self.waits[key]
        self._settle_event(task, event)

    def _settle_event(self, task: EventTask[Any], event: EventRaised) -> None:
        text = event.input
        if event.client and not self.dialect.decodes_client_events and not self.options.decode_events:
            # the published client encodes twice: 1.x code sees the JSON text
            task.is_played = self.replaying
            settle(task, SUCCEEDED, "null" if text is None else text)
        else:
            self._settle_with_text(task, text)

    def unconsumed_events(self, rest: Sequence[HistoryEvent]) -> tuple[CarriedEvent, ...]:
        """The events that nobody has waited for, in the order raised, then those in `rest`."""
        early = sorted((entry for queue in self.buffered.values() for entry in queue), key=lambda entry: entry[0])
        events = [event for _, event in early] + [event for event in rest if type(event) is EventRaised]
        return tuple(CarriedEvent(event.name, event.input, event.client) for event in events)

    def continue_with(self, rest: Sequence[HistoryEvent]) -> ContinueAsNewWith:
        """The action that ends this generation; `rest` are events of the turn that were not looked at."""
        assert self.continuation is not None
        input_, save_events = self.continuation
        carries = save_events or self.options.carry_over_events
        return ContinueAsNewWith(input_, self.unconsumed_events(rest) if carries else ())

    # -- what history says

    def apply(self, event: HistoryEvent) -> None:
        """Settle what `event` answers. Answers to nothing that is open (duplicates, cancelled timers) are ignored."""
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)

    def started(self, event: ExecutionStarted) -> None:
        """Take over what the first event of the generation says."""
        self.input = net_input(event.input, self.options.dialect)
        self.version = event.version
        self.parent_id = event.parent_id
        self.tags = event.tags

    def _completed(self, event: TaskCompleted | SubOrchestrationInstanceCompleted | EntityOperationCompleted) -> None:
        task = self.open.pop(event.task_scheduled_id, None)
        if task is not None:
            self._settle_with_text(task, event.result)

    def _settle_with_text(self, task: TaskBase[Any], text: str | None) -> None:
        task.is_played = self.replaying
        if text is None:
            settle(task, SUCCEEDED, None)
            return
        try:
            value = loads(text) if task._expected is None else decode(text, task._expected)
        except Exception as error:  # noqa: BLE001  a user's from_json may raise anything; the code that asked gets it
            settle(task, FAILED, error)
        else:
            settle(task, SUCCEEDED, value)

    def _failed(self, event: TaskFailed | SubOrchestrationInstanceFailed) -> None:
        task = self.open.pop(event.task_scheduled_id, None)
        if task is None:
            return
        if self.dialect.failure_has_task_number:
            kind = "Activity" if type(event) is TaskFailed else "Sub-orchestration"
            message = event.failure.message if event.failure is not None else event.reason
            text = f"{self.instance_id}: {kind} task #{event.task_scheduled_id + 1} failed: {message}"
        else:
            text = f"{event.reason} \n {event.details}"
        task.is_played = self.replaying
        settle(task, FAILED, TaskFailedError(text, event.failure))

    def _entity_failed(self, event: EntityOperationFailed) -> None:
        task = self.open.pop(event.task_scheduled_id, None)
        if task is None:
            return
        text = event.reason
        if self.dialect.failure_has_task_number and isinstance(task, EntityCallTask):
            message = event.failure.message if event.failure is not None else event.reason
            text = f"Operation '{task.operation}' on entity '{task.entity}' failed with error: {message}"
        task.is_played = self.replaying
        settle(task, FAILED, TaskFailedError(text, event.failure))

    def _timer_fired(self, event: TimerFired) -> None:
        self._settle_empty(event.timer_id)

    def _lock_granted(self, event: EntityLockGranted) -> None:
        self._settle_empty(event.task_scheduled_id)

    def _settle_empty(self, number: int) -> None:
        task = self.open.pop(number, None)
        if task is not None:
            task.is_played = self.replaying
            settle(task, SUCCEEDED, task._value)


_HANDLERS: dict[type, Callable[[Execution, Any], None]] = {
    TaskCompleted: Execution._completed,
    TaskFailed: Execution._failed,
    SubOrchestrationInstanceCompleted: Execution._completed,
    SubOrchestrationInstanceFailed: Execution._failed,
    EntityOperationCompleted: Execution._completed,
    EntityOperationFailed: Execution._entity_failed,
    EntityLockGranted: Execution._lock_granted,
    TimerFired: Execution._timer_fired,
    EventRaised: Execution._event_raised,
}
