"""What a host does about a timer when it looks at its record: pure rules, no clock and no store.

Every host of the hub looks by itself at the time of the next occurrence; who writes its claim into the record fires.
A host that did not run the timer last looks a moment later than the one that did, so that normally one asks.
"""

from __future__ import annotations

from typing import Union

from msgspec import Struct
from msgspec.structs import replace

from perdure.host.triggers.schedule import SECOND, CronSchedule, IntervalSchedule
from perdure.host.triggers.timer_record import NEVER, UNSET, TimerRecord

#: microseconds by which hosts that did not run a timer last look later: far less than the shortest period, a second
GRACE = SECOND // 5


class TimerRules(Struct, frozen=True):
    """The timer as this host (token `me`) was told to run it. `identity` tells schedules apart: text and zone."""

    schedule: CronSchedule | IntervalSchedule
    identity: str
    me: int
    monitored: bool = True
    run_on_startup: bool = False

    def next_after(self, instant: int) -> int:
        """The next occurrence, `NEVER` when there is none."""
        found = self.schedule.next_after(instant)
        return NEVER if found is None else found


class AskWhoLives(Struct, frozen=True):
    """The record names other hosts: decide again with the tokens of those that live."""


class Wait(Struct, frozen=True):
    """Look again at this instant."""

    until: int


class Watch(Struct, frozen=True):
    """Another host runs the function, or is about to prove that it lives: look again soon."""


class Fire(Struct, frozen=True):
    """Run the function. `original` is the occurrence that is past due, or 0.

    `startup`: the function is to run on startup; `on_start`: this is the first run since this host came.
    """

    past_due: bool = False
    startup: bool = False
    original: int = 0
    on_start: bool = False


Step = Union[AskWhoLives, Wait, Watch, Fire]


class Decision(Struct, frozen=True):
    """`record` must be written before `step` is taken; None when it stays as it is."""

    step: Step
    record: TimerRecord | None = None


def first_record(rules: TimerRules, now: int) -> TimerRecord:
    """The status of a timer that nobody ever started: never past due."""
    return TimerRecord(next=rules.next_after(now), schedule=rules.identity, listener=rules.me)


def decide(
    rules: TimerRules, record: TimerRecord | None, now: int, live: frozenset[int] | None, *, starting: bool
) -> Decision:
    """What to do about `record` now. `live` are the tokens of living hosts, None while nobody asked.

    `starting`: this host has not yet started the timer, nor seen that another one keeps it.
    """
    if record is None:
        fresh = first_record(rules, now)
        return _claim(rules, fresh, now, Fire(startup=True)) if starting and rules.run_on_startup else _wait(fresh)
    changed = record.schedule != rules.identity
    if live is None and _names_others(record, rules.me) and (starting or changed or record.running):
        return Decision(AskWhoLives())
    others = (live or frozenset()) - {rules.me}
    if changed and record.listener in others and record.listener > rules.me:
        # a newer host brought another schedule: this one only stands by in case that host goes away
        return Decision(Wait(max(record.next, now) + GRACE))
    if record.running in others:
        return Decision(Watch(), _reschedule(rules, record, now) if changed else None)
    if starting:
        # whoever kept the timer may have died this moment: wait until it shows that it lives, or is declared dead
        return Decision(Watch()) if record.listener in others and not changed else _start(rules, record, now)
    if changed:
        return _wait(_reschedule(rules, record, now))
    if record.running:
        return _interrupted(rules, record, now)
    if record.next > now:
        return Decision(Wait(record.next if record.listener in (0, rules.me) else record.next + GRACE))
    return _claim(rules, record, now, Fire())


def finish(rules: TimerRules, record: TimerRecord, fired: Fire) -> TimerRecord:
    """The record after a run that `record` says is under way."""
    started = record.started
    if not fired.past_due and not fired.startup:
        # it fired ahead of its time (the clock went back): the occurrence counts as run at its time
        started = max(started, record.next)
    # a clock that went back must not bring an occurrence that has run into the future again
    last = max(started, record.last)
    if record.schedule != rules.identity:
        return replace(record, last=last, running=0)
    return replace(record, last=last, updated=last, next=rules.next_after(last), running=0)


def _names_others(record: TimerRecord, me: int) -> bool:
    return not {record.listener, record.running} <= {0, me}


def _wait(record: TimerRecord) -> Decision:
    return Decision(Wait(record.next), record)


def _claim(rules: TimerRules, record: TimerRecord, now: int, fire: Fire) -> Decision:
    return Decision(fire, replace(record, running=rules.me, started=now, listener=rules.me))


def _start(rules: TimerRules, record: TimerRecord, now: int) -> Decision:
    """Start a timer that no living host keeps: what was missed while nobody ran it is past due, once."""
    record = replace(record, running=0, listener=rules.me)
    past_due = False
    if rules.monitored:
        record, past_due = _check_past_due(rules, record, now)
    else:
        record = replace(record, schedule=rules.identity, next=rules.next_after(max(now, record.last)))
    if past_due:
        return _claim(rules, record, now, Fire(True, rules.run_on_startup, record.next, on_start=True))
    if rules.run_on_startup:
        return _claim(rules, record, now, Fire(startup=True))
    return _wait(record)


def _check_past_due(rules: TimerRules, record: TimerRecord, now: int) -> tuple[TimerRecord, bool]:
    base = record.last or record.updated or now
    expected = rules.next_after(base)
    if record.next != expected or record.schedule != rules.identity:
        return _reschedule(rules, record, now), False
    return record, now > record.next


def _reschedule(rules: TimerRules, record: TimerRecord, now: int) -> TimerRecord:
    """The schedule is another one than the record was made by: take it on, and count nothing as missed."""
    base = record.last or record.updated or now
    expected = rules.next_after(base)
    if now > expected:
        base, expected = now, rules.next_after(now)
    return replace(record, last=UNSET, updated=base, next=expected, schedule=rules.identity, listener=rules.me)


def _interrupted(rules: TimerRules, record: TimerRecord, now: int) -> Decision:
    """The host that ran the function is gone, and nobody knows how far it came."""
    record = replace(record, running=0, listener=rules.me)
    if record.next > now:
        return _wait(record)
    if rules.monitored:
        return _claim(rules, record, now, Fire(past_due=True, original=record.next))
    return _wait(replace(record, next=rules.next_after(max(now, record.last))))
