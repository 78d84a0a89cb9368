"""The beat of a worker, and the name of an orchestrator that keeps the others waiting."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sized

from perdure.host.protocol.messages import BeginTurn, Heartbeat, LogLine
from perdure.host.worker.channel import WorkerChannel
from perdure.host.worker.invoke import now
from perdure.host.worker.threads import TurnThread

_BEAT_SECONDS = 1.0
_BUSY_TICK = 0.05
_BLOCKING_SECONDS = 0.25
_WARNING = 30


class Heartbeats:
    """Ticked by the frames thread. `running` are the functions under way; what else there is to watch comes when the
    app is loaded: `turns` with the `names` of its orchestrators, and how many `threads` the pool has."""

    def __init__(self, channel: WorkerChannel, running: Sized) -> None:
        self._channel = channel
        self._running = running
        self._turns: TurnThread | None = None
        self._names: Callable[[str], str] = str
        self._threads = 0
        self._last = 0.0
        self._reported: BeginTurn | None = None

    def watch(self, turns: TurnThread, names: Callable[[str], str], threads: int) -> None:
        """The app is loaded."""
        self._names, self._threads = names, threads
        self._turns = turns

    def tick(self) -> float:
        """Beat, and name an orchestrator that blocks. Gives the seconds until the next call."""
        time_now = time.monotonic()
        turns = self._turns
        if turns is not None and turns.is_busy:
            current = turns.current
            if current is not None and current is not self._reported:
                seconds = time_now - turns.since
                if seconds >= _BLOCKING_SECONDS and not _debugger_attached():
                    self._reported = current
                    self._report_blocking(current, turns, seconds)
        if time_now - self._last >= _BEAT_SECONDS:
            self._last = time_now
            self._channel.post(self._heartbeat(time_now))
            self._channel.flush()
        if turns is not None and turns.is_busy:
            return _BUSY_TICK
        return max(0.0, self._last + _BEAT_SECONDS - time_now)

    def _heartbeat(self, time_now: float) -> Heartbeat:
        turn, seconds = "", 0.0
        if self._turns is not None and (current := self._turns.current) is not None:
            turn, seconds = current.invocation, time_now - self._turns.since
        free = max(0, self._threads - len(self._running))
        return Heartbeat(len(self._running), turn, seconds, free, _debugger_attached())

    def _report_blocking(self, begin: BeginTurn, turns: TurnThread, seconds: float) -> None:
        name, place = self._names(begin.request.name), turns.place()
        text = (
            f"Orchestrator function '{name}' has been running for {seconds * 1000:.0f} ms without reaching a yield"
            f"{f' (now at {place})' if place else ''}. It keeps the other orchestrations of this worker waiting: "
            "move blocking work and long computations into an activity."
        )
        self._channel.send(
            LogLine(now(), _WARNING, text, name, begin.invocation, begin.request.instance_id, "perdure.worker")
        )


def _debugger_attached() -> bool:
    debugpy = sys.modules.get("debugpy")
    return bool(debugpy is not None and debugpy.is_client_connected())
