"""What the hub tells about itself, in one place. Logs, metrics and traces are listeners of the same events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from perdure.engine.runtime_state import RuntimeState
from perdure.model.commit_plan import CommitBatch, NewInstance, TurnPlan, TurnVerdict, WorkItem
from perdure.model.execution import ActivityCompleted, ActivityFailed, ActivityOutcome
from perdure.model.history import EventRaised
from perdure.taskhub.instance import Row


class Telemetry:
    """A listener that hears nothing. Every method may be overridden; none may raise."""

    def registered(self, token: int) -> None:
        """The host got a token."""

    def token_lost(self, token: int) -> None:
        """Others declared this host dead; it registers again."""

    def committed(self, batch: CommitBatch, seconds: float) -> None:
        """A commit is durable."""

    def started(self, new: NewInstance) -> None:
        """What a client started is durable. What turns start is among their creations."""

    def turn_applied(
        self, before: RuntimeState, plan: TurnPlan, verdict: TurnVerdict, rows: Sequence[Row], seconds: float
    ) -> None:
        """A turn is durable, `seconds` after it began, with the state `before`; `rows` is what it took."""

    def turn_fenced(self, n: int, instance_id: str) -> None:
        """A turn was not applied: the instance belongs to another host."""

    def replayed(self, name: str) -> None:
        """A session was rebuilt from its history."""

    def activity_ran(self, item: WorkItem, outcome: ActivityOutcome) -> None:
        """An attempt at an activity is over; its result is not durable yet."""

    def activity_settled(self, item: WorkItem, outcome: ActivityCompleted | ActivityFailed) -> None:
        """The result of a traced activity is durable."""

    def event_raised(self, instance_id: str, event: EventRaised, parent: str) -> None:
        """A traced event that a client raised is durable; `parent` is the context of its span's parent."""

    def parked(self, instance_id: str, name: str, report: str) -> None:
        """An instance cannot go on with the code at hand."""

    def refused(self, instance_id: str, name: str, reason: str) -> None:
        """This host may not run an instance (its version); another host may."""

    def operations_failed(self, instance_id: str, count: int, reason: str) -> None:
        """So many operations of an entity were answered with a failure: there is no such function."""

    def result_dropped(self, n: int, task: int) -> None:
        """An activity's result found nobody who waits for it."""

    def limit_reached(self, what: str, active: int, limit: int) -> None:
        """A limit holds work back or, where fewer than `limit` are active, no worker has a free thread for it; told
        again and again until it clears."""

    def limit_cleared(self, what: str) -> None:
        """The limit holds nothing back any more."""

    def store_failed(self, text: str) -> None:
        """The store could not answer."""


EVENTS = tuple(name for name, value in vars(Telemetry).items() if callable(value) and not name.startswith("_"))


def telling(listeners: Sequence[Telemetry]) -> Telemetry:
    """What tells each event to those of `listeners` that hear it, in their order."""
    told = Telemetry()
    for event in EVENTS:
        heard = [getattr(one, event) for one in listeners if getattr(type(one), event) is not getattr(Telemetry, event)]
        if heard:
            setattr(told, event, heard[0] if len(heard) == 1 else _all(heard))
    return told


def _all(calls: Sequence[Callable[..., None]]) -> Callable[..., None]:
    def tell(*what: Any) -> None:
        for call in calls:
            call(*what)

    return tell
