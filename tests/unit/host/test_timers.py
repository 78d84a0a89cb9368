"""Timer functions of a host: settings in schedules, mistakes, the run of a firing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from perdure.host.functions.function_list import list_functions
from perdure.host.logs.log import HostLog, LevelFilter, Record
from perdure.host.loop import LoopClock
from perdure.host.protocol.messages import InvocationDone, InvocationFailed, Retry
from perdure.host.settings.app_settings import SettingMissing, expand_binding
from perdure.host.settings.config import HostConfig
from perdure.host.triggers.timers import Timers
from perdure.model.failure import FailureDetails
from perdure.storage.memory import MemoryDatabase, MemoryStore
from tests.unit.host.front_fakes import configured
from tests.unit.host.test_function_list import function


def test_settings_in_binding_texts() -> None:
    settings = {"A": "x", "B": ""}
    assert expand_binding("%A%-%A%%B%", settings.get) == "x-x"
    with pytest.raises(SettingMissing, match=r"^'%X%' does not resolve to a value\.$"):
        expand_binding("%X%", settings.get)
    with pytest.raises(SettingMissing, match="does not have a closing '%'"):
        expand_binding("50% A", settings.get)


def test_timers_of_an_app(tmp_path: Path) -> None:
    config = configured(tmp_path, TZ="UTC", WHEN="0 0 0 1 1 *")
    records, runs = asyncio.run(_run(config))
    assert runs == [("Startup", "(RunOnStartup)")]
    texts = [record.text for record in records]
    assert "The 'Bad' function is in error: '%NOPE%' does not resolve to a value." in texts
    assert any(text.startswith("The 'Wrong' function is in error: The schedule expression 'soon'") for text in texts)
    assert any(text.startswith("The next 5 occurrences of the 'Startup' schedule (0 0 0 1 1 *)") for text in texts)


async def _run(config: HostConfig) -> tuple[list[Record], list[tuple[str, str]]]:
    listed = list_functions(
        [
            function("Startup", "timerTrigger", schedule="%WHEN%", runOnStartup=True),
            function("Bad", "timerTrigger", schedule="%NOPE%"),
            function("Wrong", "timerTrigger", schedule="soon"),
            function("Off", "timerTrigger", disabled=True, schedule="* * * * * *"),
        ],
        config,
    )
    records: list[Record] = []
    runs: list[tuple[str, str]] = []
    ran = asyncio.Event()

    async def run(
        function: str,
        payload: str | None,
        trace: Any = None,
        reason: str = "",
        details: str = "",
        retry: Retry | None = None,
    ) -> Any:
        assert reason.startswith("Timer fired at ")
        runs.append((function, "(RunOnStartup)" if "RunOnStartup" in details else details))
        ran.set()
        return InvocationDone("id")

    clock = LoopClock(asyncio.get_running_loop())
    timers = Timers(
        listed,
        config,
        clock=clock,
        now=clock.now,
        store=MemoryStore(MemoryDatabase(clock), clock),
        token=lambda: 1,
        run=run,
        log=HostLog(records.append, LevelFilter({})),
    )
    assert set(timers.mistakes) == {"Bad", "Wrong"}
    timers.start()
    await asyncio.wait_for(ran.wait(), 5)
    await asyncio.wait_for(timers.stop(), 5)
    return records, runs


def test_a_retried_timer_is_told_why(tmp_path: Path) -> None:
    config = configured(tmp_path, TZ="UTC")
    policy = {"strategy": "fixedDelay", "maxRetryCount": 2, "delayInterval": "00:00:00"}
    timer = function("Often", "timerTrigger", schedule="0 0 0 1 1 *", runOnStartup=True)
    failure = FailureDetails("OSError", "no")
    retries: list[Retry | None] = []

    async def scenario() -> None:
        ended = asyncio.Event()

        async def run(function: str, payload: str | None, *more: Any) -> Any:
            retries.append(more[-1])
            if len(retries) == 3:
                ended.set()
                return InvocationDone("id")
            return InvocationFailed("id", failure)

        clock = LoopClock(asyncio.get_running_loop())
        timers = Timers(
            list_functions([structs.replace(timer, retry=policy)], config),
            config,
            clock=clock,
            now=clock.now,
            store=MemoryStore(MemoryDatabase(clock), clock),
            token=lambda: 1,
            run=run,
            log=HostLog(lambda record: None, LevelFilter({})),
        )
        timers.start()
        await asyncio.wait_for(ended.wait(), 5)
        await asyncio.wait_for(timers.stop(), 5)

    asyncio.run(scenario())
    assert retries == [None, Retry(1, 2, failure), Retry(2, 2, failure)]
