"""What an instance waits for and since when, told in one paragraph: a pure function over what the store holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from perdure.engine.catalog import BUILT_IN_HTTP, Catalog
from perdure.engine.waits import RESULTS, OpenTask, open_tasks
from perdure.engine.words import count, counted, names, span, waiting, when
from perdure.model import history as h
from perdure.model.instance import InstanceKind, InstanceRecord, RuntimeStatus, decode_lock
from perdure.model.operations import Inspected, LiveHost, OpenActivity, WaitingMessage

#: things that are named one by one; the others are counted
NAMED = 5
_CONTROLS: dict[type, str] = {
    h.ExecutionSuspended: "suspend",
    h.ExecutionResumed: "resume",
    h.ExecutionTerminated: "terminate",
    h.ExecutionRewound: "rewind",
}
#: a host gives a sign of life each third of its TTL: one that has not for this part of it is late
_LATE = 0.5


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


def explain(found: Inspected, place: Place | None = None) -> str:
    """One paragraph that says why an instance is not moving, and what would make it move."""
    asked = (_CONTROLS.get(type(message.event)) for message in found.inbox)
    untaken = [f"A {verb} was asked for that no turn has taken yet." for verb in dict.fromkeys(filter(None, asked))]
    return " ".join([_explained(found, place), *untaken])


def _explained(found: Inspected, place: Place | None) -> str:
    record, inbox, now = found.record, found.inbox, found.time
    who = f"'{record.instance_id}' ({record.name})"
    if record.kind is InstanceKind.ENTITY:
        return _entity(found)
    if record.status.is_terminal:
        return _ended(record, who, now)
    if record.parked is not None:
        return (
            f"{who} is parked: its code no longer does what its history says, so no turn can be applied. "
            f"{record.parked.strip()} It goes on by itself when a host with fitting code starts; "
            f"its history and {count(len(inbox), 'waiting message')} are untouched."
        )
    if record.status is RuntimeStatus.SUSPENDED:
        return _suspended(record, found.history, inbox, who, now)
    hosts = _Hosts(found.hosts, now)
    unrunnable = _nobody_runs(record, hosts)
    if record.status is RuntimeStatus.PENDING:
        return _pending(record, hosts, who, now, unrunnable)
    sentences = [f"{who} has been waiting since {when(record.updated, now)}."]
    if place is not None and place.location:
        waits = f", for {place.waits_for}" if place.waits_for else ""
        sentences.append(f"Its code stands at {place.location}{waits}.")
    sentences += _waits(found, hosts, place)
    if record.suspect:
        sentences.append(_suspect(record.suspect))
    if record.not_before > now:
        sentences.append(f"It is held back until {when(record.not_before, now)}.")
    sentences += [unrunnable] if unrunnable else _owner(record, hosts, _is_taking(found))
    return " ".join(sentences)


# ---- hosts


class _Hosts:
    """The hosts that nobody declared dead, and what they were last heard of."""

    def __init__(self, listed: Sequence[LiveHost], now: int) -> None:
        self._by_token = {host.token: host for host in listed}
        self._now = now
        #: those that run functions
        self.running = [host for host in listed if any(host.names.values())]
        self.up = [host for host in self.running if self._silence(host) < host.ttl]
        self.catalog = _catalog(self.running)

    def _silence(self, host: LiveHost) -> float:
        """Seconds since its last sign of life; 0 where that is not known."""
        return (self._now - host.heard) / 1e6 if host.heard else 0.0

    def called(self, token: int, process: str = "") -> str:
        """`host 7 at 127.0.0.1:7071`, and how it is when it does not give the signs of life that it should."""
        host = self._by_token.get(token)
        if host is None:
            return f"host {token}, which is gone"
        at = f" at {host.address}" if host.address else ""
        return f"host {token}{at}{f', {process}' if process else ''}{self._doubt(host)}"

    def _doubt(self, host: LiveHost) -> str:
        silence = self._silence(host)
        if silence < host.ttl * _LATE:
            return ""
        heard = f", last heard of {span(int(silence * 1e6))} ago"
        if silence < host.ttl:
            return f"{heard} (it may have been killed: another host declares it dead after {host.ttl:g} s)"
        return f"{heard} (it has been killed or hangs: the next host that is up declares it dead)"

    def is_gone(self, token: int) -> bool:
        """Whether it was closed or declared dead."""
        return token not in self._by_token

    def silent(self) -> str:
        """In brackets: the hosts that nobody declared dead and nobody hears of."""
        told = [
            f"host {host.token} at {host.address} was last heard of {span(int(self._silence(host) * 1e6))} ago"
            for host in self.running
            if host not in self.up
        ]
        return f" ({', '.join(told)})" if told else ""


def _catalog(hosts: Iterable[LiveHost]) -> Catalog:
    listed: dict[str, list[str]] = {}
    for host in hosts:
        for kind, functions in host.names.items():
            listed.setdefault(kind, []).extend(functions)
    return Catalog(listed)


def _nobody_runs(record: InstanceRecord, hosts: _Hosts) -> str:
    """Why no live host can run it; empty when one can."""
    if not hosts.up:
        return f"No host of this task hub is up{hosts.silent()}: it goes on when one starts."
    kind = "orchestration" if record.kind is InstanceKind.ORCHESTRATION else "entity"
    return hosts.catalog.unknown(kind, record.name) or ""


def _owner(record: InstanceRecord, hosts: _Hosts, taking: bool) -> list[str]:
    comes = "as soon as it has room" if taking else "when something comes for it"
    if not record.owner:
        return [f"No host owns it: a host takes it {comes}."]
    if hosts.is_gone(record.owner):
        return [f"Its owner (host {record.owner}) is gone: another host takes it over {comes}."]
    called = hosts.called(record.owner)
    told = [f"H{called[1:]} owns it."]
    if taking:
        told.append("A turn is under way there, or about to begin.")
    return told


def _is_taking(found: Inspected) -> bool:
    """Whether something came that the next turn takes."""
    return any(message.due <= found.time for message in found.inbox) or any(one.finished for one in found.activities)


# ---- what is not a matter of waiting tasks


def _ended(record: InstanceRecord, who: str, now: int) -> str:
    verb = {
        RuntimeStatus.COMPLETED: "completed",
        RuntimeStatus.FAILED: "failed",
        RuntimeStatus.TERMINATED: "was terminated",
        RuntimeStatus.CANCELED: "was canceled",
    }[record.status]
    text = f"{who} {verb} {when(record.completed or record.updated, now)}: nothing moves it any more."
    if record.status is RuntimeStatus.FAILED:
        return f"{text} It said: {record.output or 'nothing'}. Rewind runs again what failed."
    return text


def _suspended(
    record: InstanceRecord, history: Sequence[h.HistoryEvent], inbox: Sequence[WaitingMessage], who: str, now: int
) -> str:
    last = next((event for event in reversed(history) if isinstance(event, h.ExecutionSuspended)), None)
    reason = f" ({last.reason})" if last is not None and last.reason else ""
    since = last.timestamp if last is not None and last.timestamp else record.updated
    held = [message for message in inbox if type(message.event) not in _CONTROLS and message.due <= now]
    waits = f"{count(len(held), 'message')} {waiting(held)}"
    return f"{who} is suspended since {when(since, now)}{reason}: {waits}. It goes on when it is resumed."


def _pending(record: InstanceRecord, hosts: _Hosts, who: str, now: int, unrunnable: str) -> str:
    text = f"{who} was created {when(record.created, now)} and has not started."
    if record.not_before > now:
        return f"{text} It is to start {when(record.not_before, now)}."
    if record.suspect:
        text += f" {_suspect(record.suspect)}"
    if unrunnable:
        return f"{text} {unrunnable}"
    if hosts.is_gone(record.owner) and record.owner:
        return f"{text} {_owner(record, hosts, True)[0]}"
    if record.owner:
        called = hosts.called(record.owner)
        return f"{text} H{called[1:]} owns it: its first turn is under way there, or waits for a free slot."
    return f"{text} No host owns it yet: a host takes it as soon as it has room."


def _suspect(deaths: int) -> str:
    return f"A worker died while it ran ({count(deaths, 'time')}), so it runs alone in a worker of its own."


def _entity(found: Inspected) -> str:
    record, now = found.record, found.time
    hosts = _Hosts(found.hosts, now)
    who = f"Entity '{record.instance_id}'"
    due = [message.event for message in found.inbox if message.due <= now]
    operations = [event for event in due if isinstance(event, h.EntityOperationRequested)]
    lock = decode_lock(record.custom_status) if record.lock_holder else None
    if lock is not None:
        text = f"{who} is locked by '{lock.locked_by}'{_told(found, lock.locked_by)}: operations of others wait for it."
    elif not due:
        later = [message.due for message in found.inbox if message.due > now]
        text = f"{who} has nothing to do."
        text += f" The next signal comes {when(min(later), now)}." if later else ""
        return text
    else:
        text = f"{who} has work that no turn has taken yet."
    if operations:
        listed = names(event.operation for event in operations)
        text += f" {count(len(operations), 'operation')} {waiting(operations)}: {listed}."
    unrunnable = _nobody_runs(record, hosts)
    taking = lock is None and bool(due)
    return " ".join([text, *([unrunnable] if unrunnable else _owner(record, hosts, taking))])


def _told(found: Inspected, instance_id: str) -> str:
    """In brackets: how another instance is, as far as that is known."""
    told = next((one.told for one in found.neighbours if one.instance_id == instance_id), "")
    return f" ({told})" if told else ""


# ---- open tasks


def _waits(found: Inspected, hosts: _Hosts, place: Place | None) -> list[str]:
    arrived = [message for message in found.inbox if message.due <= found.time]
    tasks = open_tasks(found.history, found.inbox, found.time)
    most = place.attempts if place is not None else {}
    told = [_task(task, found, hosts, most) for task in tasks[:NAMED]]
    if len(tasks) > NAMED:
        told.append(f"{count(len(tasks) - NAMED, 'more task')} are open.")
    if place is not None and place.events:
        told.append(f"It waits for the event {names(place.events, ' or ')} since {when(place.since, found.time)}.")
    elif not tasks and not arrived:
        told.append("No activity, child, timer or entity call is open: it waits for an external event.")
    told += _other_events(found.history, arrived, place)
    results = [message for message in arrived if isinstance(message.event, RESULTS)]
    if results:
        told.append(f"{count(len(results), 'result')} came that no turn has taken yet.")
    return told


def _other_events(
    history: Sequence[h.HistoryEvent], arrived: Sequence[WaitingMessage], place: Place | None
) -> list[str]:
    told = []
    untaken = [message.event.name for message in arrived if isinstance(message.event, h.EventRaised)]
    if untaken:
        told.append(f"Events that no turn has taken yet: {counted(untaken)}.")
    if place is None:
        came = [event.name for event in history if isinstance(event, h.EventRaised)]
        if came:
            told.append(f"Events that came so far: {counted(came)}.")
    elif place.unclaimed:
        told.append(f"Events that came under other names and wait: {counted(place.unclaimed)}.")
    return told


def _task(task: OpenTask, found: Inspected, hosts: _Hosts, most: dict[str, int]) -> str:
    event, since = task.event, when(task.since, found.time)
    match event:
        case h.TaskScheduled():
            tried = event.attempt > 1 or event.name in most
            attempt = f" (attempt {event.attempt}{_of(most, event.name)})" if tried else ""
            name = "An HTTP call" if event.name == BUILT_IN_HTTP else f"Activity '{event.name}'{attempt}"
            place = next((one for one in found.activities if one.task == event.event_id), None)
            return f"{name} was scheduled {since} and {_activity(event, place, hosts, found.time)}"
        case h.SubOrchestrationInstanceCreated():
            child = f"its child '{event.instance_id}' ({event.name})"
            told = next((one.told for one in found.neighbours if one.instance_id == event.instance_id), "")
            return f"It waits for {child}, which was started {since}{f': {told}' if told else ''}."
        case h.TimerCreated():
            due = when(event.fire_at, found.time)
            if task.retries is None:
                return f"A timer fires {due}."
            failed = task.retries
            noun = "Activity" if isinstance(failed, h.TaskScheduled) else "Child"
            coming = f"attempt {failed.attempt + 1}{_of(most, failed.name)} comes {due}"
            return f"{noun} '{failed.name}' failed on attempt {failed.attempt}; {coming}."
        case h.EntityOperationCalled():
            held = _held((event.entity,), found)
            return f"It waits for the answer of entity '{event.entity}' to '{event.operation}', called {since}.{held}"
        case h.EntityLocksRequested():
            locks = names(event.entities, " and ")
            return f"It waits for the locks of {locks}, asked for {since}.{_held(event.entities, found)}"
        case _:
            return ""


def _activity(event: h.TaskScheduled, place: OpenActivity | None, hosts: _Hosts, now: int) -> str:
    """The rest of the sentence about an activity: who has it."""
    unknown = hosts.catalog.unknown("activity", event.name) if hosts.catalog.names("activity") else None
    if place is None:
        return f"has not reported a result.{f' {unknown}' if unknown else ''}"
    if not place.owner:
        if unknown:
            return f"nobody has taken it: {unknown}"
        if place.not_before > now:
            return f"nobody has taken it: it is held back until {when(place.not_before, now)}."
        waits = "it waits for a host with a free slot" if hosts.up else "it waits for a host"
        return f"nobody has taken it: {waits}.{f' {_suspect(place.suspect)}' if place.suspect else ''}"
    if hosts.is_gone(place.owner):
        return f"was taken by host {place.owner}, which is gone: another host runs it anew."
    called = hosts.called(place.owner, place.worker)
    if place.finished:
        return f"ended {when(place.finished, now)} on {called}: a turn is about to take its result."
    if place.began:
        text = f"runs since {when(place.began, now)} on {called}."
    else:
        text = f"was taken by {called}: it has only just begun there, or waits for a free thread."
    return f"{text}{f' {_suspect(place.suspect)}' if place.suspect else ''}"


def _held(entities: Sequence[str], found: Inspected) -> str:
    """A sentence for each entity whose lock somebody holds."""
    me = found.record.instance_id
    locked = [one for one in found.neighbours if one.instance_id in entities and one.locked_by]
    told = ""
    for one in locked:
        holder = "it" if one.locked_by == me else f"'{one.locked_by}'{_told(found, one.locked_by)}"
        told += f" The lock of '{one.instance_id}' is held by {holder}."
    return told


def _of(most: dict[str, int], name: str) -> str:
    return f" of {most[name]}" if name in most else ""
