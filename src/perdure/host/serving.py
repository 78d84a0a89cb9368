"""The functions of the app, and what starts them from outside: HTTP routes and timer triggers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from perdure.host.app_loading import LoadedApp
from perdure.host.functions.function_list import FunctionList, in_error
from perdure.host.functions.routing import RouteTable
from perdure.host.http.front import Front
from perdure.host.triggers.timers import Timers


class Serving:
    """Begins with no functions; `take` brings those of an app that was loaded. While `paused`, nothing starts them.

    `new_timers` makes the listeners of timer triggers, which are not used again once they have stopped.
    """

    def __init__(self, front: Front, prefix: str, new_timers: Callable[[FunctionList], Timers]) -> None:
        self._front = front
        self._new_timers = new_timers
        self._timers: Timers | None = None
        self._ending: set[asyncio.Future[None]] = set()
        self.functions = FunctionList((), RouteTable(prefix), {})
        #: what keeps functions from running
        self.errors: list[str] = []
        self.paused = False

    def take(self, loaded: LoadedApp) -> None:
        """Serve these functions from now on, and those of before no longer."""
        self._end_timers()
        timers = self._new_timers(loaded.functions)
        self.functions = loaded.functions.without(timers.mistakes)
        self.errors = loaded.errors + [in_error(function, text) for function, text in timers.mistakes.items()]
        if not self.paused:
            self._open(timers)

    def pause(self) -> None:
        """Start nothing more; requests are answered at once that there is nobody."""
        self.paused = True
        self._front.pause(0.0)
        self._end_timers()

    async def timers_ended(self) -> None:
        """Returns when no run of a timer trigger that was stopped is under way."""
        if self._ending:
            await asyncio.wait(self._ending)

    def resume(self) -> None:
        """Start functions again after a pause."""
        self.paused = False
        self._open(self._new_timers(self.functions))

    def _open(self, timers: Timers) -> None:
        self._front.serve(self.functions.routes)
        self._timers = timers
        timers.start()

    def _end_timers(self) -> None:
        timers, self._timers = self._timers, None
        if timers is not None:
            ending = asyncio.ensure_future(timers.stop())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
