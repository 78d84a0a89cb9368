"""The lifespan of an ASGI app behind `func.AsgiFunctionApp`: started once before the first request, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable
from typing import Any


class Lifespan:
    """Guards the library's start, which runs again for each request that comes before the first start is done."""

    def __init__(self, register: Any) -> None:
        self._register = register
        self._lock = asyncio.Lock()

    def guard(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """`call` with the app started before. It raises RuntimeError when the app does not start."""

        @functools.wraps(call)
        async def started(*args: Any, **kwargs: Any) -> Any:
            register = self._register
            if not register.startup_task_done:
                async with self._lock:
                    if not register.startup_task_done:
                        if not await register.middleware.notify_startup():
                            raise RuntimeError("ASGI middleware startup failed.")
                        register.startup_task_done = True
            return await call(*args, **kwargs)

        return started

    async def end(self, seconds: float) -> None:
        """Tell the app that it ends, and wait for it at most that long."""
        register = self._register
        if register.startup_task_done:
            register.startup_task_done = False
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(register.middleware.notify_shutdown(), max(0.1, seconds))


def lifespan_of(register: Any) -> Lifespan | None:
    """The lifespan of a function app that wraps an ASGI app, None for others."""
    if hasattr(register, "startup_task_done") and hasattr(getattr(register, "middleware", None), "notify_startup"):
        return Lifespan(register)
    return None
