"""The listener of one timer trigger: a synchronous state machine over a clock, the hub's settings and a `fire` port.

It does one thing at a time: read the record, decide (`timer_rules`), write by compare-and-set, then wait or run. What
the function does never stops the schedule; a store that fails is asked again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta, timezone, tzinfo

from msgspec.structs import replace

from perdure.host.triggers.schedule import SECOND, occurrences, timespan
from perdure.host.triggers.timer import Firing, TimerPorts, TimerTrigger
from perdure.host.triggers.timer_record import (
    TimerRecord,
    decode_record,
    encode_record,
    iso,
    payload,
    round_trip,
)
from perdure.host.triggers.timer_rules import AskWhoLives, Decision, Fire, TimerRules, Wait, decide, finish
from perdure.storage.provider import HostRow, StoreError
from perdure.taskhub.interfaces import Timer

#: kind of the hub's settings in which the records lie
SETTING_KIND = "timer"
#: seconds after which a waiting listener looks at the clock again: clocks jump, machines sleep
LONGEST_WAIT = 60.0
#: seconds between looks at a run, or a start, of another host
WATCH_EVERY = 2.0
_RETRY_STORE = (1.0, 2.0, 5.0, 10.0)


class TimerListener:
    """Keeps one timer on one host. `start()` begins; `stop(done)` ends once a run under way has been recorded."""

    def __init__(self, trigger: TimerTrigger, ports: TimerPorts) -> None:
        self._trigger = trigger
        self._ports = ports
        self._schedule = trigger.schedule
        self._monitored = trigger.use_monitor and not trigger.schedule.under_a_minute
        self._starting = True
        self._busy = False  # a call or a run is under way whose end comes back here
        self._stopped: Callable[[], None] | None = None
        self._timer: Timer | None = None
        self._raw: str | None = None  # the record as last seen in the store
        self._unanswered: tuple[str, Decision] | None = None  # a write of which nobody knows whether it was applied
        self._beat: tuple[int, int] | None = None  # token and beat of whoever kept the timer when this host came
        self._came: tuple[str | None] | None = None  # the record as it was when this host came
        self._retry: Callable[[], None] | None = None  # what ends the wait for a retry of the function
        self._failures = 0

    def start(self) -> None:
        """Take up the timer. The first look at the store decides whether something is past due."""
        now = self._ports.now()
        name, expression = self._trigger.function, self._schedule.expression
        zone_name = self._ports.zone_name
        self._log(
            logging.DEBUG,
            f"The '{name}' timer is using the schedule '{expression}' and the local time zone: '{zone_name}'",
        )
        if self._trigger.use_monitor and not self._monitored:
            self._log(logging.INFO, "UseMonitor changed to false based on schedule frequency.")
        upcoming = occurrences(self._schedule, now, 5)
        lines = [f"The next 5 occurrences of the '{name}' schedule ({expression}) will be:"]
        lines += [_both_clocks(instant, self._ports.zone) for instant in upcoming] or ["(none: it never comes true)"]
        self._log(logging.INFO, "\n".join(lines))
        if upcoming:
            self._log(logging.DEBUG, f"Timer for '{name}' started with interval '{timespan(upcoming[0] - now)}'.")
        self._look()

    def stop(self, done: Callable[[], None] = lambda: None) -> None:
        """Fire nothing more. `done` is called when nothing is under way any more: at once, or after the run."""
        self._stopped = done
        if self._retry is not None:
            self._timer_cancel()
            self._retry()
        elif not self._busy:
            self._end(done)

    # -- look, decide, write, act

    def _look(self) -> None:
        self._busy = True
        self._ports.store.get_setting(SETTING_KIND, self._trigger.function, self._seen)

    def _seen(self, raw: str | StoreError | None) -> None:
        if isinstance(raw, StoreError):
            self._again(raw, self._look)
            return
        self._failures = 0
        self._raw = raw
        self._came = self._came or (raw,)
        if self._came != (raw,):
            # somebody has kept the timer since this host came, so it is not this host's to start
            self._starting = False
        unanswered, self._unanswered = self._unanswered, None
        if unanswered is not None and unanswered[0] == raw:
            self._act(unanswered[1])
        else:
            record = decode_record(raw)
            if self._starting and self._beat is None:
                self._report_status(record)
            self._decide(record, None)

    def _decide(self, record: TimerRecord | None, live: frozenset[int] | None) -> None:
        if self._stopped is not None:
            self._end(self._stopped)
            return
        decision = decide(self._rules(), record, self._ports.now(), live, starting=self._starting)
        if isinstance(decision.step, AskWhoLives):
            self._ports.store.hosts(lambda rows: self._living(record, rows))
        elif decision.record is None:
            self._act(decision)
        else:
            self._write(decision.record, decision)

    def _living(self, record: TimerRecord | None, rows: list[HostRow] | StoreError) -> None:
        if isinstance(rows, StoreError):
            self._again(rows, self._look)
            return
        if record is not None and self._starting:
            keeper = next(((row.token, row.beat) for row in rows if row.token == record.listener), None)
            if self._beat is None or keeper is None or keeper[0] != self._beat[0]:
                self._beat = keeper
            elif keeper[1] != self._beat[1]:
                # it was alive after this host came, so the timer is not this host's to start
                self._starting = False
        self._decide(record, frozenset(row.token for row in rows if not row.dead))

    def _write(self, record: TimerRecord, decision: Decision) -> None:
        text = encode_record(record, self._ports.zone)

        def written(answer: bool | StoreError) -> None:
            if isinstance(answer, StoreError):
                self._unanswered = (text, decision)
                self._again(answer, self._look)
            elif answer:
                self._raw = text
                self._act(decision)
            else:
                self._look()

        self._ports.store.put_setting(SETTING_KIND, self._trigger.function, text, self._raw, written)

    def _act(self, decision: Decision) -> None:
        record, step = decision.record, decision.step
        if isinstance(step, Fire) and record is not None:
            self._starting = False
            if self._stopped is None:
                self._announce(step)
                self._run(record, step, 0)
            else:
                self._give_back(record, self._stopped)
        elif isinstance(step, Wait):
            self._starting = self._starting and record is None
            self._wait(step.until)
        else:
            self._sleep(WATCH_EVERY, self._look)

    def _wait(self, until: int) -> None:
        left = (until - self._ports.now()) / SECOND
        if left <= 0 and self._stopped is None:
            self._look()
        else:
            self._sleep(min(left, LONGEST_WAIT), lambda: self._wait(until))

    def _sleep(self, seconds: float, call: Callable[[], None]) -> None:
        self._busy = False
        if self._stopped is not None:
            self._end(self._stopped)
        else:
            self._timer = self._ports.clock.later(seconds, call)

    # -- one run

    def _run(self, record: TimerRecord, fired: Fire, attempt: int) -> None:
        zone = self._ports.zone
        status = record if self._monitored else None
        adjusts = self._schedule.adjusts_for_dst
        firing = Firing(
            self._trigger.function,
            payload(status, zone, adjusts_for_dst=adjusts, past_due=fired.past_due),
            f"Timer fired at {round_trip(self._ports.now(), zone)}",
            _details(fired, zone),
            attempt,
            self._trigger.retry.count if self._trigger.retry is not None else 0,
        )
        self._ports.fire(firing, lambda succeeded: self._ran(record, fired, attempt, succeeded))

    def _ran(self, record: TimerRecord, fired: Fire, attempt: int, succeeded: bool) -> None:
        retry = self._trigger.retry
        if succeeded or retry is None or self._stopped is not None or 0 <= retry.count <= attempt:
            self._record_end(record, fired)
            return

        def again() -> None:
            self._retry = None
            if self._stopped is None:
                self._run(record, fired, attempt + 1)
            else:
                self._record_end(record, fired)

        self._retry = again
        self._timer = self._ports.clock.later(retry.delay(attempt + 1), again)

    def _record_end(self, record: TimerRecord, fired: Fire) -> None:
        """Write the status after a run, on top of what others made of the record meanwhile."""
        after = finish(self._rules(), record, fired)
        text = encode_record(after, self._ports.zone)

        def read(raw: str | StoreError | None) -> None:
            if isinstance(raw, StoreError):
                self._again(raw, ask, keep=True)
                return
            self._raw = raw
            current = decode_record(raw)
            if current is not None and (current.running, current.started) == (record.running, record.started):
                self._record_end(current, fired)
            else:
                # written after all, or another host took the run over: nothing is left to record
                self._decide(current, None)

        def ask() -> None:
            self._ports.store.get_setting(SETTING_KIND, self._trigger.function, read)

        def written(answer: bool | StoreError) -> None:
            if isinstance(answer, StoreError):
                self._again(answer, ask, keep=True)
            elif answer:
                self._raw = text
                self._decide(after, None)
            else:
                ask()

        self._ports.store.put_setting(SETTING_KIND, self._trigger.function, text, self._raw, written)

    def _give_back(self, record: TimerRecord, stopped: Callable[[], None]) -> None:
        """The claim came through when this host was to stop: let another one fire."""
        text = encode_record(replace(record, running=0), self._ports.zone)
        # should this fail, the claim ends with the host's token
        self._ports.store.put_setting(
            SETTING_KIND, self._trigger.function, text, self._raw, lambda _answer: self._end(stopped)
        )

    # -- small parts

    def _rules(self) -> TimerRules:
        identity = f"{self._schedule.expression} | {self._ports.zone_name}"
        return TimerRules(self._schedule, identity, self._ports.token(), self._monitored, self._trigger.run_on_startup)

    def _end(self, stopped: Callable[[], None]) -> None:
        self._busy = False
        self._timer_cancel()
        stopped()

    def _timer_cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _again(self, error: StoreError, call: Callable[[], None], *, keep: bool = False) -> None:
        """Ask the store again after a while. `keep`: also when this host is to stop, because a run ended."""
        delay = _RETRY_STORE[min(self._failures, len(_RETRY_STORE) - 1)]
        self._failures += 1
        if self._failures == 1:
            name = self._trigger.function
            self._log(logging.WARNING, f"The status of timer '{name}' cannot be reached, trying again: {error}")
        if keep:
            self._timer = self._ports.clock.later(delay, call)
        else:
            self._sleep(delay, call)

    def _log(self, level: int, text: str) -> None:
        self._ports.log(level, text)

    def _announce(self, fire: Fire) -> None:
        name = self._trigger.function
        if fire.past_due and fire.on_start:
            self._log(logging.INFO, f"Function '{name}' is past due on startup. Executing now.")
        elif fire.past_due:
            self._log(logging.WARNING, f"The host that ran function '{name}' is gone. Executing it again.")
        elif fire.startup:
            self._log(logging.INFO, f"Function '{name}' is configured to run on startup. Executing now.")

    def _report_status(self, record: TimerRecord | None) -> None:
        name, zone, now = self._trigger.function, self._ports.zone, self._ports.now()
        if self._monitored:
            last, upcoming, updated = (record.last, record.next, record.updated) if record else (0, 0, 0)
            self._log(
                logging.DEBUG,
                f"Function '{name}' initial status: Last='{iso(last, zone)}', Next='{iso(upcoming, zone)}', "
                f"LastUpdated='{iso(updated, zone)}'",
            )
        if record is not None and record.last > now + 3600 * SECOND:
            self._log(
                logging.WARNING,
                f"Timer '{name}' ran last at {iso(record.last, zone)}, which is ahead of the store's clock. It runs "
                f"next at {iso(record.next, zone)}, so that nothing runs twice; check that clock.",
            )


def _details(fired: Fire, zone: tzinfo) -> dict[str, str]:
    reasons = [name for name, holds in (("IsPastDue", fired.past_due), ("RunOnStartup", fired.startup)) if holds]
    details = {"UnscheduledInvocationReason": ", ".join(reasons)} if reasons else {}
    if fired.original:
        details["OriginalSchedule"] = round_trip(fired.original, zone)
    return details


def _both_clocks(instant: int, zone: tzinfo) -> str:
    utc = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=instant)
    there = utc.astimezone(zone).isoformat(timespec="seconds")
    return f"{there[5:7]}/{there[8:10]}/{there[:4]} {there[11:]} ({utc:%m/%d/%Y %H:%M:%SZ})"
