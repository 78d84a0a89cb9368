"""The timer triggers of an app: one listener for each timer function."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from perdure.host.functions.function_list import FunctionList, in_error, trigger_binding
from perdure.host.logs.log import ERROR, WARNING, HostLog
from perdure.host.protocol.messages import InvocationDone, InvocationFailed, Retry
from perdure.host.settings.app_settings import SettingMissing, expand_binding
from perdure.host.settings.config import HostConfig
from perdure.model.failure import FailureDetails
from perdure.taskhub.interfaces import Clock, Store

if TYPE_CHECKING:
    from perdure.host.triggers.timer import Firing
    from perdure.host.triggers.timer_listener import TimerListener

TIMER = "timertrigger"
_CATEGORY = "Host.Triggers.Timer"
_OCCURRENCES = "The next "


class TriggerRunner(Protocol):
    """Runs a function with its trigger's text."""

    async def __call__(
        self,
        function: str,
        payload: str | None,
        trace: str | None = None,
        reason: str = "",
        details: str = "",
        retry: Retry | None = None,
    ) -> InvocationDone | InvocationFailed: ...


class Timers:
    """All timer listeners of one host. `now` is the store's clock: those of the hosts may differ."""

    def __init__(
        self,
        listed: FunctionList,
        config: HostConfig,
        *,
        clock: Clock,
        now: Callable[[], int],
        store: Store,
        token: Callable[[], int],
        run: TriggerRunner,
        log: HostLog,
    ) -> None:
        self._log = log
        self._run = run
        self._runs: set[asyncio.Task[None]] = set()
        #: why the last run of a function failed
        self._failures: dict[str, FailureDetails] = {}
        #: text by function, of timers that cannot fire
        self.mistakes: dict[str, str] = {}
        self._listeners: list[TimerListener] = []
        timers = [function for function in listed.enabled() if function.trigger == TIMER]
        if not timers:
            return
        # apps without timers do not pay for their import
        from perdure.host.triggers.retry_policy import RetryPolicyError, read_retry
        from perdure.host.triggers.schedule import ScheduleError
        from perdure.host.triggers.timer import TimerPorts, timer_trigger
        from perdure.host.triggers.timer_listener import TimerListener
        from perdure.host.triggers.zones import choose_zone

        zone = choose_zone(config.app_settings)
        if zone.warning:
            log.write("perdure", WARNING, zone.warning)
        ports = TimerPorts(clock, now, store, token, self._fire, self._say, zone.zone, zone.name)
        for function in timers:
            try:
                trigger = timer_trigger(
                    function.name,
                    trigger_binding(function),
                    zone.zone,
                    lambda text: expand_binding(text, config.setting),
                    read_retry(function.retry),
                )
            except (ScheduleError, SettingMissing, RetryPolicyError) as error:
                self.mistakes[function.name] = str(error)
                log.write("perdure", ERROR, in_error(function.name, str(error)))
            else:
                self._listeners.append(TimerListener(trigger, ports))

    def start(self) -> None:
        """Take up all timers."""
        for listener in self._listeners:
            listener.start()

    async def stop(self) -> None:
        """Fire nothing more; returns when no run is under way."""
        await asyncio.gather(*(_stopped(listener) for listener in self._listeners))

    def _fire(self, firing: Firing, done: Callable[[bool], None]) -> None:
        async def run() -> None:
            details = ", ".join(f"{name}: {value}" for name, value in firing.details.items())
            succeeded = False
            try:
                failure = self._failures.pop(firing.function, None)
                retry = Retry(firing.attempt, firing.most, failure) if firing.attempt else None
                answer = await self._run(firing.function, firing.payload, None, firing.reason, details, retry)
                succeeded = not isinstance(answer, InvocationFailed)
                if isinstance(answer, InvocationFailed):
                    self._failures[firing.function] = answer.failure
            finally:
                # whatever happened, the schedule goes on
                done(succeeded)

        task = asyncio.ensure_future(run())
        self._runs.add(task)
        task.add_done_callback(self._runs.discard)

    def _say(self, level: int, text: str) -> None:
        # the list of occurrences is what users look for: it is shown like a log of theirs
        self._log.write("perdure" if text.startswith(_OCCURRENCES) else _CATEGORY, level, text)


async def _stopped(listener: TimerListener) -> None:
    ended = asyncio.Event()
    listener.stop(ended.set)
    await ended.wait()
