"""What an instance waits for and since when, told in one paragraph: a pure function over what the store holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone

from msgspec import Struct

from perdure.engine.catalog import BUILT_IN_HTTP, Catalog
from perdure.model import history as h
from perdure.model.instance import InstanceKind, InstanceRecord, RuntimeStatus
from perdure.model.operations import LiveHost, WaitingMessage

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
#: things that are named one by one; the others are counted
_NAMED = 5
_RESULTS = (
    h.TaskCompleted,
    h.TaskFailed,
    h.SubOrchestrationInstanceCompleted,
    h.SubOrchestrationInstanceFailed,
    h.EntityOperationCompleted,
    h.EntityOperationFailed,
    h.EntityLockGranted,
)
_FAILURES = (h.TaskFailed, h.SubOrchestrationInstanceFailed)
_CONTROL = (h.ExecutionSuspended, h.ExecutionResumed, h.ExecutionTerminated, h.ExecutionRewound)


class Place(Struct, frozen=True):
    """Where the code stands, learned by replaying it: `file:line in function`, what it waits for there, the names of
    the external events among that, the names of events that came and that nobody has taken yet, and since when it waits
    for the events (microseconds), and how often calls with retries are tried at most, by name."""

    location: str = ""
    waits_for: str = ""
    events: tuple[str, ...] = ()
    unclaimed: tuple[str, ...] = ()
    since: int = 0
    attempts: dict[str, int] = {}


class _Open(Struct):
    """A task without a result."""

    event: h.HistoryEvent
    since: int
    #: for a timer: the attempt that failed in the same turn, which it holds back
    retries: h.TaskScheduled | h.SubOrchestrationInstanceCreated | None = None


def explain(
    record: InstanceRecord,
    history: Sequence[h.HistoryEvent],
    inbox: Sequence[WaitingMessage],
    hosts: Sequence[LiveHost],
    now: int,
    place: Place | None = None,
) -> str:
    """One paragraph that says why an instance is not moving, and what would make it move. Times in microseconds."""
    who = f"'{record.instance_id}' ({record.name})"
    if record.kind is InstanceKind.ENTITY:
        return _entity(record, inbox, hosts, now)
    if record.status.is_terminal:
        return _ended(record, who, now)
    if record.parked is not None:
        return (
            f"{who} is parked: its code no longer does what its history says, so no turn can be applied. "
            f"{record.parked.strip()} It goes on by itself when a host with fitting code starts; "
            f"its history and {_count(len(inbox), 'waiting message')} are untouched."
        )
    if record.status is RuntimeStatus.SUSPENDED:
        return _suspended(record, history, inbox, who, now)
    unrunnable = _nobody_runs(record, hosts)
    if record.status is RuntimeStatus.PENDING:
        return _pending(record, hosts, who, now, unrunnable)
    sentences = [f"{who} has been waiting since {_when(record.updated, now)}."]
    if place is not None and place.location:
        waits = f", for {place.waits_for}" if place.waits_for else ""
        sentences.append(f"Its code stands at {place.location}{waits}.")
    sentences += _waits(history, inbox, hosts, now, place)
    if record.suspect:
        sentences.append(_suspect(record))
    if record.not_before > now:
        sentences.append(f"It is held back until {_when(record.not_before, now)}.")
    sentences += [unrunnable] if unrunnable else _owner(record, hosts)
    return " ".join(sentences)


# ---- what is not a matter of waiting tasks


def _ended(record: InstanceRecord, who: str, now: int) -> str:
    verb = {
        RuntimeStatus.COMPLETED: "completed",
        RuntimeStatus.FAILED: "failed",
        RuntimeStatus.TERMINATED: "was terminated",
        RuntimeStatus.CANCELED: "was canceled",
    }[record.status]
    text = f"{who} {verb} {_when(record.completed or record.updated, now)}: nothing moves it any more."
    if record.status is RuntimeStatus.FAILED:
        return f"{text} It said: {record.output or 'nothing'}. Rewind runs again what failed."
    return text


def _suspended(
    record: InstanceRecord, history: Sequence[h.HistoryEvent], inbox: Sequence[WaitingMessage], who: str, now: int
) -> str:
    last = next((event for event in reversed(history) if isinstance(event, h.ExecutionSuspended)), None)
    reason = f" ({last.reason})" if last is not None and last.reason else ""
    since = last.timestamp if last is not None and last.timestamp else record.updated
    held = [message for message in inbox if not isinstance(message.event, _CONTROL) and message.due <= now]
    resumed = any(isinstance(message.event, h.ExecutionResumed) for message in inbox)
    end = "A resume waits for a host to take it." if resumed else "It goes on when it is resumed."
    return (
        f"{who} is suspended since {_when(since, now)}{reason}: {_count(len(held), 'message')} {_waiting(held)}. {end}"
    )


def _pending(record: InstanceRecord, hosts: Sequence[LiveHost], who: str, now: int, unrunnable: str) -> str:
    text = f"{who} was created {_when(record.created, now)} and has not started."
    if record.not_before > now:
        return f"{text} It is to start {_when(record.not_before, now)}."
    if record.suspect:
        text += f" {_suspect(record)}"
    if unrunnable:
        return f"{text} {unrunnable}"
    if record.owner:
        return f"{text} {' '.join(_owner(record, hosts))} That host is busy with other turns."
    return f"{text} No host owns it yet: a host takes it as soon as it has room."


def _nobody_runs(record: InstanceRecord, hosts: Sequence[LiveHost]) -> str:
    """Why no live host can run it; empty when one can."""
    running = [host for host in hosts if any(host.names.values())]
    if not running:
        return "No host of this task hub is up: it goes on when one starts."
    kind = "orchestration" if record.kind is InstanceKind.ORCHESTRATION else "entity"
    return _catalog(running).unknown(kind, record.name) or ""


def _catalog(hosts: Iterable[LiveHost]) -> Catalog:
    names: dict[str, list[str]] = {}
    for host in hosts:
        for kind, listed in host.names.items():
            names.setdefault(kind, []).extend(listed)
    return Catalog(names)


def _suspect(record: InstanceRecord) -> str:
    return f"A worker died while it ran ({_count(record.suspect, 'time')}), so it runs alone in a worker of its own."


def _owner(record: InstanceRecord, hosts: Sequence[LiveHost]) -> list[str]:
    if not record.owner:
        return ["No host owns it: a host takes it when something comes for it."]
    host = next((host for host in hosts if host.token == record.owner), None)
    if host is None:
        return [f"Its owner (host {record.owner}) is gone: another host takes it over."]
    return [f"Host {host.token} at {host.address} owns it."]


def _entity(record: InstanceRecord, inbox: Sequence[WaitingMessage], hosts: Sequence[LiveHost], now: int) -> str:
    who = f"Entity '{record.instance_id}'"
    due = [message.event for message in inbox if message.due <= now]
    operations = [event for event in due if isinstance(event, h.EntityOperationRequested)]
    if record.lock_holder:
        text = f"{who} is locked by instance number {record.lock_holder}: operations of others wait for the unlock."
    elif not due:
        later = [message.due for message in inbox if message.due > now]
        text = f"{who} has nothing to do."
        text += f" The next signal comes {_when(min(later), now)}." if later else ""
        return text
    else:
        text = f"{who} has work that no turn has taken yet."
    if operations:
        listed = _names(event.operation for event in operations)
        text += f" {_count(len(operations), 'operation')} {_waiting(operations)}: {listed}."
    return " ".join(filter(None, [text, _nobody_runs(record, hosts), *_owner(record, hosts)]))


# ---- open tasks


def _waits(
    history: Sequence[h.HistoryEvent],
    inbox: Sequence[WaitingMessage],
    hosts: Sequence[LiveHost],
    now: int,
    place: Place | None,
) -> list[str]:
    arrived = [message for message in inbox if message.due <= now]
    timers = {
        message.event.timer_id for message in inbox if isinstance(message.event, h.TimerFired) and message.due > now
    }
    open_tasks = [
        task for task in _open(history) if not isinstance(task.event, h.TimerCreated) or task.event.event_id in timers
    ]
    catalog = _catalog(hosts)
    told = [_task(task, catalog, now, place.attempts if place is not None else {}) for task in open_tasks[:_NAMED]]
    if len(open_tasks) > _NAMED:
        told.append(f"{_count(len(open_tasks) - _NAMED, 'more task')} are open.")
    if place is not None and place.events:
        told.append(f"It waits for the event {_names(place.events, ' or ')} since {_when(place.since, now)}.")
    elif not open_tasks and not arrived:
        told.append("No activity, child, timer or entity call is open: it waits for an external event.")
    told += _other_events(history, arrived, place)
    results = [message for message in arrived if isinstance(message.event, _RESULTS)]
    if results:
        told.append(f"{_count(len(results), 'result')} came that no turn has taken yet.")
    return told


def _other_events(
    history: Sequence[h.HistoryEvent], arrived: Sequence[WaitingMessage], place: Place | None
) -> list[str]:
    told = []
    waiting = [message.event.name for message in arrived if isinstance(message.event, h.EventRaised)]
    if waiting:
        told.append(f"Events that no turn has taken yet: {_counted(waiting)}.")
    if place is None:
        came = [event.name for event in history if isinstance(event, h.EventRaised)]
        if came:
            told.append(f"Events that came so far: {_counted(came)}.")
    elif place.unclaimed:
        told.append(f"Events that came under other names and wait: {_counted(place.unclaimed)}.")
    return told


def _task(task: _Open, catalog: Catalog, now: int, most: dict[str, int]) -> str:
    event, since = task.event, _when(task.since, now)
    match event:
        case h.TaskScheduled():
            attempt = f" (attempt {event.attempt}{_of(most, event.name)})" if event.attempt > 1 else ""
            name = "An HTTP call" if event.name == BUILT_IN_HTTP else f"Activity '{event.name}'{attempt}"
            text = f"{name} was scheduled {since} and has not reported a result."
            unknown = catalog.unknown("activity", event.name) if catalog.names("activity") else None
            return f"{text} {unknown}" if unknown else text
        case h.SubOrchestrationInstanceCreated():
            return f"It waits for its child '{event.instance_id}' ({event.name}), which was started {since}."
        case h.TimerCreated():
            due = _when(event.fire_at, now)
            if task.retries is None:
                return f"A timer fires {due}."
            failed = task.retries
            noun = "Activity" if isinstance(failed, h.TaskScheduled) else "Child"
            coming = f"attempt {failed.attempt + 1}{_of(most, failed.name)} comes {due}"
            return f"{noun} '{failed.name}' failed on attempt {failed.attempt}; {coming}."
        case h.EntityOperationCalled():
            return f"It waits for the answer of entity '{event.entity}' to '{event.operation}', called {since}."
        case h.EntityLocksRequested():
            return f"It waits for the locks of {_names(event.entities, ' and ')}, asked for {since}."
        case _:
            return ""


def _of(most: dict[str, int], name: str) -> str:
    return f" of {most[name]}" if name in most else ""


def _open(history: Sequence[h.HistoryEvent]) -> list[_Open]:
    """The tasks without a result, oldest first; timers also when the code has cancelled them."""
    tasks: dict[int, _Open] = {}
    ended: dict[int, h.HistoryEvent] = {}
    failed: list[h.TaskScheduled | h.SubOrchestrationInstanceCreated] = []
    time = 0
    for event in history:
        if isinstance(event, h.OrchestratorStarted):
            time, failed = event.timestamp, []
        elif isinstance(
            event,
            (h.TaskScheduled, h.SubOrchestrationInstanceCreated, h.EntityOperationCalled, h.EntityLocksRequested),
        ):
            tasks[event.event_id] = _Open(event, event.timestamp or time)
        elif isinstance(event, h.TimerCreated):
            tasks[event.event_id] = _Open(event, event.timestamp or time, failed.pop(0) if failed else None)
        elif isinstance(event, h.TimerFired):
            tasks.pop(event.timer_id, None)
        elif isinstance(event, _RESULTS):
            task = tasks.pop(event.task_scheduled_id, None)
            if task is not None:
                ended[event.task_scheduled_id] = task.event
                if isinstance(event, _FAILURES) and isinstance(
                    task.event, (h.TaskScheduled, h.SubOrchestrationInstanceCreated)
                ):
                    failed.append(task.event)
        elif isinstance(event, h.ExecutionRewound):
            tasks.update((task, _Open(ended[task], time)) for task in event.tasks if task in ended)
    return sorted(tasks.values(), key=lambda task: task.since)


# ---- words


def _when(time: int, now: int) -> str:
    """A time with its distance: `2026-01-01 10:00:00 UTC (3 min ago)`."""
    text = (_EPOCH + timedelta(microseconds=time)).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{text} ({f'in {_span(time - now)}' if time > now else f'{_span(now - time)} ago'})"


def _span(microseconds: int) -> str:
    seconds = microseconds / 1e6
    for size, name in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number or 'no'} {noun}s"


def _waiting(things: Sequence[object]) -> str:
    return "waits" if len(things) == 1 else "wait"


def _names(names: Iterable[str], last: str = ", ") -> str:
    return last.join(f"'{name}'" for name in dict.fromkeys(names))


def _counted(names: Iterable[str]) -> str:
    return ", ".join(
        f"'{name}'" + (f" ({number} times)" if number > 1 else "") for name, number in Counter(names).items()
    )
