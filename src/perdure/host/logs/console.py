"""Writes log records and plain text to the output, in order, batched, on a thread of its own."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import IO

from perdure.host.logs.log import CRITICAL, DEBUG, ERROR, INFORMATION, WARNING, Record

#: entries that may wait for the output; more are dropped and counted
CAPACITY = 100_000
#: entries above which whoever makes them is asked to wait
PRESSURE = 20_000
#: how long entries are gathered before they are written together, in seconds
GATHER = 0.01

_LEVEL_NAMES = {
    5: "Trace",
    DEBUG: "Debug",
    INFORMATION: "Information",
    WARNING: "Warning",
    ERROR: "Error",
    CRITICAL: "Critical",
}
_GRAY, _RESET = "\x1b[90m", "\x1b[0m"
_RED, _YELLOW, _CYAN, _GREEN = "\x1b[31m", "\x1b[33m", "\x1b[36m", "\x1b[32m"
COLOURS = {"gray": _GRAY, "red": _RED, "yellow": _YELLOW, "cyan": _CYAN, "green": _GREEN}

Format = Callable[[Record], str]


def level_name(level: int) -> str:
    """The name of a level of Python's logging."""
    return next((name for low, name in sorted(_LEVEL_NAMES.items(), reverse=True) if level >= low), "Trace")


class _Seconds:
    """The text of a second, kept until the next one."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def __call__(self, second: int) -> str:
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return self._text


def console_format(coloured: bool) -> Format:
    """`[2024-06-22T22:40:20.123Z] text`, every line of a text with the same prefix."""
    seconds = _Seconds()

    def write(record: Record) -> str:
        second, microseconds = divmod(record.time, 1_000_000)
        prefix = f"[{seconds(second)}.{microseconds // 1000:03}Z] "
        start, end = prefix, "\n"
        if coloured:
            level = record.level
            colour = (
                _RED if level >= ERROR else _YELLOW if level >= WARNING else _CYAN if level >= INFORMATION else _GREEN
            )
            start, end = f"{_GRAY}{prefix}{_RESET}{colour}", f"{_RESET}\n"
        text = record.text
        if "\n" not in text:
            return f"{start}{text}{end}"
        return "".join(f"{start}{line}{end}" for line in text.split("\n"))

    return write


def plain_format() -> Format:
    """`2024-06-22T22:40:20Z [Information] text`, every line of a text with the same prefix."""
    seconds = _Seconds()

    def write(record: Record) -> str:
        prefix = f"{seconds(record.time // 1_000_000)}Z [{level_name(record.level)}] "
        return "".join(f"{prefix}{line}\n" for line in record.text.split("\n"))

    return write


def json_format() -> Format:
    """One JSON object on each line."""
    seconds = _Seconds()

    def write(record: Record) -> str:
        second, microseconds = divmod(record.time, 1_000_000)
        entry = {
            "time": f"{seconds(second)}.{microseconds:06}Z",
            "level": level_name(record.level),
            "category": record.category,
            "message": record.text,
            "function": record.function,
            "invocationId": record.invocation,
            "instanceId": record.instance_id,
            "process": record.process or os.getpid(),
            "thread": record.thread,
        }
        return json.dumps({name: value for name, value in entry.items() if value != ""}, ensure_ascii=False) + "\n"

    return write


FORMATS: dict[str, Callable[[bool], Format]] = {
    "console": console_format,
    "plain": lambda _: plain_format(),
    "json": lambda _: json_format(),
}


def wants_colour(stream: IO[str]) -> bool:
    """Whether the output is a terminal that shows colours."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not plain and stream.isatty() and (sys.platform != "win32" or "WT_SESSION" in os.environ)


class Console:
    """The output of the host. `record` and `text` never wait; what they were given appears in that order."""

    def __init__(self, stream: IO[str], name: str = "console") -> None:
        self.coloured = wants_colour(stream)
        self.machine_readable = name == "json"
        self._descriptor = stream.fileno()
        stream.flush()
        self._format = FORMATS[name](self.coloured)
        self._waiting: deque[Record | str] = deque()
        self._dropped = 0
        self._under_pressure = False
        self._on_pressure: Callable[[bool], None] = lambda high: None
        self._copy: Callable[[list[Record]], None] | None = None
        self._some = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="console", daemon=True)
        self._thread.start()

    def on_pressure(self, call: Callable[[bool], None]) -> None:
        """Call with True when many entries wait, with False when few do; from any thread."""
        self._on_pressure = call

    def copy_to(self, write: Callable[[list[Record]], None]) -> None:
        """Give all records to `write` as well, in batches, on the thread that writes the output."""
        self._copy = write

    def record(self, record: Record) -> None:
        """Write a log record."""
        self._add(record)

    def text(self, text: str, colour: str = "") -> None:
        """Write a line as it is, in a colour of `COLOURS` where there are colours. Nothing where lines are JSON."""
        if self.machine_readable:
            return
        self._add(f"{COLOURS[colour]}{text}{_RESET}\n" if colour and self.coloured else f"{text}\n")

    def _add(self, entry: Record | str) -> None:
        if len(self._waiting) >= CAPACITY:
            self._dropped += 1
            return
        self._waiting.append(entry)
        if not self._under_pressure and len(self._waiting) > PRESSURE:
            self._under_pressure = True
            self._on_pressure(True)
        if not self._some.is_set():
            self._some.set()

    def close(self, timeout: float = 2.0) -> None:
        """Write what waits and end; gives up after `timeout` seconds when the output takes nothing."""
        self._closing = True
        self._some.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            self._some.wait()
            if not self._closing:
                time.sleep(GATHER)
            self._some.clear()
            self._write_waiting()
            if self._closing and not self._waiting:
                return

    def _write_waiting(self) -> None:
        parts: list[str] = []
        records: list[Record] = []
        while self._waiting:
            entry = self._waiting.popleft()
            if isinstance(entry, str):
                parts.append(entry)
            else:
                parts.append(self._format(entry))
                records.append(entry)
            if len(parts) >= 1000:
                self._write_both(parts, records)
                parts, records = [], []
                self._relieve()
        if self._dropped:
            lost, self._dropped = self._dropped, 0
            text = f"{lost} log lines were dropped because the output does not take them fast enough."
            parts.append(self._format(Record(time.time_ns() // 1000, WARNING, "Host.Console", text)))
        self._write_both(parts, records)
        self._relieve()

    def _write_both(self, parts: list[str], records: list[Record]) -> None:
        # the file first: it never waits for a reader
        if self._copy is not None and records:
            self._copy(records)
        self._write(parts)

    def _relieve(self) -> None:
        if self._under_pressure and len(self._waiting) < PRESSURE // 4:
            self._under_pressure = False
            self._on_pressure(False)

    def _write(self, parts: list[str]) -> None:
        data = memoryview("".join(parts).encode("utf-8", "backslashreplace"))
        try:
            while data:
                data = data[self._write_some(data) :]
        except OSError:
            # the reader of the output is gone: the host goes on without it
            return

    def _write_some(self, data: memoryview) -> int:
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            # another program has made the terminal that we share non-blocking
            time.sleep(GATHER)
            return 0
