"""The threads of a worker that run user code: the turn thread and the pool for plain functions."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, Generic, TypeVar, Union

from perdure.host.protocol.begun import BegunSlots, invocation_number
from perdure.host.protocol.messages import BeginTurn, DropSession, SessionEvicted, TurnResult
from perdure.host.protocol.user_errors import is_users
from perdure.host.worker.channel import WorkerChannel
from perdure.host.worker.logs import CURRENT, Invocation
from perdure.model.execution import TurnMismatch
from perdure.sdk.options import SdkOptions
from perdure.sdk.replay import Sessions

_SWEEP_SECONDS = 30.0
T = TypeVar("T")


def default_threads() -> int:
    """Threads for plain functions when nobody says how many: what `concurrent.futures` takes."""
    cpus = getattr(os, "process_cpu_count", os.cpu_count)() or 1
    return min(32, cpus + 4)


class Pool(Generic[T]):
    """At most `size` threads that call `run(slot, item)`; one is started per item until all are there."""

    def __init__(self, size: int, run: Callable[[int, T], None], first_slot: int, name: str) -> None:
        self.size = size
        self._run = run
        self._first_slot = first_slot
        self._name = name
        self._items: queue.SimpleQueue[T] = queue.SimpleQueue()
        self._started = 0

    def put(self, item: T) -> None:
        """Run `item` as soon as a thread is free. From one thread only."""
        self._items.put(item)
        if self._started < self.size:
            slot = self._first_slot + self._started
            self._started += 1
            threading.Thread(target=self._work, args=(slot,), name=f"{self._name}_{slot}", daemon=True).start()

    @property
    def waits(self) -> bool:
        """Whether something waits for a thread."""
        return not self._items.empty()

    def _work(self, slot: int) -> None:
        items, run = self._items, self._run
        while True:
            run(slot, items.get())


class TurnThread:
    """Advances orchestrators, one turn at a time, frame by frame. Slot 0 of the begun slots is its."""

    def __init__(
        self,
        channel: WorkerChannel,
        lookup: Callable[[str], Any],
        options: SdkOptions,
        begun: BegunSlots,
        running: dict[str, Invocation],
        function_name: Callable[[str], str],
        end_lines: Callable[[], None],
    ) -> None:
        self._channel = channel
        self._lookup = lookup
        self._options = options
        self._begun = begun
        self._running = running
        self._function_name = function_name
        self._end_lines = end_lines
        self._batches: queue.SimpleQueue[list[Union[BeginTurn, DropSession]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="perdure-turns", daemon=True)
        #: what runs now and since when (monotonic seconds)
        self.current: BeginTurn | None = None
        self.since = 0.0
        self._open = 0
        self._done = 0

    def start(self) -> None:
        self._thread.start()

    def put(self, batch: list[Union[BeginTurn, DropSession]]) -> None:
        """Work through `batch` after what is there. From one thread only."""
        self._open += 1
        self._batches.put(batch)

    def close(self, timeout: float) -> None:
        """Close all sessions and end, if the thread comes to it within `timeout` seconds."""
        self._batches.put(None)
        self._thread.join(timeout)

    @property
    def is_busy(self) -> bool:
        return self._open != self._done

    def place(self) -> str:
        """`file:line` of user code that the thread is in right now."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        while frame is not None:
            if is_users(frame.f_code.co_filename):
                return f"{frame.f_code.co_filename}:{frame.f_lineno}"
            frame = frame.f_back
        return ""

    def _work(self) -> None:
        sessions = Sessions(self._lookup, self._options, lambda n: self._channel.post(SessionEvicted(n)))
        while True:
            try:
                batch = self._batches.get(timeout=_SWEEP_SECONDS)
            except queue.Empty:
                sessions.sweep(time.monotonic())
                self._channel.flush()
                continue
            if batch is None:
                sessions.close()
                return
            for message in batch:
                if isinstance(message, DropSession):
                    sessions.drop(message.n)
                else:
                    self._turn(sessions, message)
            self._channel.flush()
            self._done += 1

    def _turn(self, sessions: Sessions, begin: BeginTurn) -> None:
        request, id = begin.request, begin.invocation
        self._running[id] = invocation = Invocation(id, self._function_name(request.name), request.instance_id)
        CURRENT.set(invocation)
        self._begun.mark(0, invocation_number(id))
        self.since = started = time.monotonic()
        self.current = begin
        try:
            outcome = sessions.run(request)
        except Exception:  # noqa: BLE001 - a defect of ours must park one instance, not end all turns of this worker
            report = f"The turn could not be run because of an internal error:\n{traceback.format_exc()}"
            outcome = TurnMismatch(request.n, request.generation, request.base_turn, report)
        self.current = None
        self._end_lines()
        self._channel.post(TurnResult(id, outcome, int((time.monotonic() - started) * 1_000_000)))
        if not self._options.max_sessions:
            # else the host would send the next turn without history, in vain
            self._channel.post(SessionEvicted(request.n))
        del self._running[id]
        self._begun.mark(0, 0)
