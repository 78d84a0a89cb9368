"""Where a running orchestration stands in its code, found by replaying its history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from perdure.model.execution import TurnRequest
from perdure.sdk.atomic_tasks import EventTask
from perdure.sdk.compound_tasks import CompoundTask
from perdure.sdk.execution import Execution
from perdure.sdk.options import SdkOptions
from perdure.sdk.orchestrator_code import OrchestratorCode, Prepared
from perdure.sdk.replay import recorded_dialect, replay
from perdure.sdk.retriable import RetryAbleTask
from perdure.sdk.session import Session
from perdure.sdk.tasks import RUNNING, TaskBase


class Standing(Struct, frozen=True):
    """`location` is `file:line in function`, `waits_for` the task there as the call that made it, `events` the names
    of external events among that and `since` (microseconds) when the wait for them began, `unclaimed` the names of
    events that came and that no wait has taken, `attempts` how often the calls with retries are tried at most.
    `mismatch` is the report when the code no longer does what the history says."""

    location: str = ""
    waits_for: str = ""
    events: tuple[str, ...] = ()
    unclaimed: tuple[str, ...] = ()
    mismatch: str = ""
    since: int = 0
    attempts: dict[str, int] = {}


class _Timed(Execution):
    """Notes when each wait for an external event began."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.began: dict[int, int] = {}

    def open_wait(self, task: EventTask[Any]) -> None:
        self.began[id(task)] = self.now
        super().open_wait(task)


def stand(code: OrchestratorCode, options: SdkOptions, request: TurnRequest) -> Standing:
    """Replay `request.history`; its events are not looked at. Nothing that the code decides goes anywhere."""
    dialect = recorded_dialect(request)
    options = replace(options, dialect=dialect) if dialect else options
    prepared = Prepared(code, options)
    execution = _Timed(request.instance_id, request.name, prepared.dialect, options, generation=request.generation)
    execution.history = []
    session = Session(request, prepared, execution)
    try:
        mismatch = replay(session, request.history or ())
        if mismatch is not None:
            return Standing(mismatch=mismatch)
        waits_for = session.waits_for
        events = [task for task in _running(waits_for) if isinstance(task, EventTask)]
        retried = [task for task in _running(waits_for) if isinstance(task, RetryAbleTask)]
        return Standing(
            session.location(),
            waits_for.describe() if waits_for is not None else "",
            tuple(event.name for event in events),
            tuple(event.name for event in execution.unconsumed_events(())),
            since=min((execution.began.get(id(event), 0) for event in events), default=0),
            attempts={
                str(getattr(task._attempt, "name", "")): task.retry_options.max_number_of_attempts for task in retried
            },
        )
    finally:
        session.close()


def _running(task: TaskBase[Any] | None) -> Iterator[TaskBase[Any]]:
    """The tasks without a result below one that is waited for."""
    if task is None or task.state is not RUNNING:
        return
    yield task
    if isinstance(task, CompoundTask):
        children: Sequence[TaskBase[Any]] = task.children
        for child in children:
            yield from _running(child)
