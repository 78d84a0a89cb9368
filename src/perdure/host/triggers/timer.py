"""A timer trigger as an app declares it, and what its listener needs of the host."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from typing import Any, Protocol

from msgspec import Struct

from perdure.host.triggers.schedule import CronSchedule, IntervalSchedule, ScheduleError, parse_schedule
from perdure.storage.provider import Callback, HostRow
from perdure.taskhub.interfaces import Clock


class Retry(Struct, frozen=True):
    """At most `count` more runs (-1: no limit) after a failed one, `delay(n)` seconds before the nth."""

    count: int
    delay: Callable[[int], float]


class TimerTrigger(Struct, frozen=True):
    """A timer trigger as indexed, settings expanded."""

    function: str
    schedule: CronSchedule | IntervalSchedule
    run_on_startup: bool = False
    use_monitor: bool = True
    retry: Retry | None = None


class Firing(Struct, frozen=True):
    """One run to start. `details` go on the invocation's "Trigger Details" line; `attempt` counts retries from 1,
    of at most `most`.
    """

    function: str
    payload: str
    reason: str
    details: dict[str, str]
    attempt: int = 0
    most: int = 0


class TimerStore(Protocol):
    """The part of the store port that timers use."""

    def get_setting(self, kind: str, key: str, done: Callback[str | None]) -> None:
        """A value of the hub."""

    def put_setting(self, kind: str, key: str, value: str | None, expected: str | None, done: Callback[bool]) -> None:
        """Set a value if it is still `expected`."""

    def hosts(self, done: Callback[list[HostRow]]) -> None:
        """The hosts that are not dead."""


class TimerPorts(Struct, frozen=True):
    """What a listener needs of its host.

    `now` gives microseconds since 1970 by the clock that all hosts go by, the store's. `fire` answers once with whether
    the run succeeded, never from inside the call; `log` takes Python's level and a text; `token` is this host's, by
    now.
    """

    clock: Clock
    now: Callable[[], int]
    store: TimerStore
    token: Callable[[], int]
    fire: Callable[[Firing, Callable[[bool], None]], None]
    log: Callable[[int, str], None]
    zone: tzinfo
    zone_name: str


def timer_trigger(
    function: str, binding: dict[str, Any], zone: tzinfo, expand: Callable[[str], str], retry: Retry | None = None
) -> TimerTrigger:
    """Read a timerTrigger binding, keys in any case. `expand` resolves `%NAME%`; what it raises passes through.

    Raises `ScheduleError`.
    """
    values = {key.casefold(): value for key, value in binding.items()}
    expression = values.get("schedule")
    if not isinstance(expression, str):
        raise ScheduleError(f"The timer trigger of function '{function}' has no schedule: expected a text.")
    return TimerTrigger(
        function,
        parse_schedule(expand(expression), zone),
        run_on_startup=_flag(values.get("runonstartup"), False),
        use_monitor=_flag(values.get("usemonitor"), True),
        retry=retry,
    )


def _flag(value: object, default: bool) -> bool:
    if value is None:
        return default
    return value.strip().casefold() == "true" if isinstance(value, str) else bool(value)
