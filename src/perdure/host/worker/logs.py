"""What user code logs and prints, as `LogLine` messages, at once and under the function that said it.

Three sources: records of `logging`, what is written to `sys.stdout` and `sys.stderr`, and what reaches the file
descriptors 1 and 2 past Python (C code, child processes). Lines written while an orchestrator replays are dropped.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from perdure.host.protocol.messages import LogLine
from perdure.sdk.determinism import replaying

#: characters of log lines that may be on their way to the host before it grants more
LOG_WINDOW = 4 * 1024 * 1024
_LONGEST_LINE = 256 * 1024
_LINE_OVERHEAD = 100


class Invocation:
    """One run of one user function, with the trace context that it was given."""

    __slots__ = ("function", "id", "instance_id", "trace")

    def __init__(self, id: str, function: str, instance_id: str = "", trace: str | None = None) -> None:
        self.id = id
        self.function = function
        self.instance_id = instance_id
        self.trace = trace


_NOBODY = Invocation("", "")
CURRENT: ContextVar[Invocation] = ContextVar("perdure_invocation", default=_NOBODY)
#: set by `func.Context.thread_local_storage`, the published way to name a thread's invocation
THREAD_STORAGE = threading.local()


def current_invocation(by_id: Callable[[str], Invocation | None]) -> Invocation:
    """Whose code runs on this thread: by context, by `thread_local_storage`, or by who started the thread."""
    invocation = CURRENT.get()
    if invocation is not _NOBODY:
        return invocation
    named = getattr(THREAD_STORAGE, "invocation_id", None)
    if named:
        return by_id(named) or Invocation(named, "")
    starter: Invocation | None = getattr(threading.current_thread(), "_perdure_invocation", None)
    return starter if starter is not None else _NOBODY


def mark_threads() -> None:
    """From now on each thread that is started remembers the invocation that started it."""
    start = threading.Thread.start

    def start_marked(thread: threading.Thread) -> None:
        invocation = CURRENT.get()
        if invocation is _NOBODY:
            invocation = getattr(threading.current_thread(), "_perdure_invocation", _NOBODY)
        if invocation is not _NOBODY:
            thread._perdure_invocation = invocation  # type: ignore[attr-defined]
        start(thread)

    start_marked.__wrapped__ = start  # type: ignore[attr-defined]
    threading.Thread.start = start_marked  # type: ignore[method-assign, assignment]


class LogCapture:
    """Turns what user code says into messages for `send`.

    `by_id` finds a running invocation, `only_running` is the one invocation under way, if there is only one.
    """

    def __init__(
        self,
        send: Callable[[LogLine], None],
        by_id: Callable[[str], Invocation | None],
        only_running: Callable[[], Invocation | None],
    ) -> None:
        self._send = send
        self._by_id = by_id
        self._only_running = only_running
        self._credit = LOG_WINDOW
        self._granted = threading.Event()
        self._granted.set()
        self._streams: list[_LineStream] = []
        self.show_replay = False

    def install(self, level: int) -> int:
        """Take over logging, streams and descriptors. Returns a descriptor for the interpreter's last words."""
        sys.stdout.flush()
        sys.stderr.flush()
        last_words = os.dup(2)
        for number in (1, 2):
            receiver, sender = os.pipe()
            os.dup2(sender, number)
            os.close(sender)
            reader = threading.Thread(
                target=self._read_descriptor, args=(receiver, number), name=f"perdure-fd{number}", daemon=True
            )
            reader.start()
        self._streams = [_LineStream(self, 1), _LineStream(self, 2)]
        sys.stdout, sys.stderr = self._streams
        root = logging.getLogger()
        root.addHandler(_Handler(self))
        root.setLevel(level)
        mark_threads()
        return last_words

    def grant(self, characters: int) -> None:
        """The host has dealt with that many characters."""
        self._credit += characters
        if self._credit > 0:
            self._granted.set()

    @property
    def is_replay(self) -> bool:
        """Whether what is said now was said before, by the run that is replayed."""
        return replaying() and not self.show_replay

    def say(self, text: str, level: int, category: str = "", invocation: Invocation | None = None) -> None:
        """Send one line. Waits while the host cannot take more."""
        if self.is_replay:
            return
        if invocation is None:
            invocation = current_invocation(self._by_id)
        while self._credit <= 0:
            self._granted.wait()
        self._credit -= len(text) + _LINE_OVERHEAD
        if self._credit <= 0:
            self._granted.clear()
        self._send(
            LogLine(
                time.time_ns() // 1000,
                level,
                text,
                invocation.function,
                invocation.id,
                invocation.instance_id,
                category,
                threading.current_thread().name,
                os.getpid(),
            )
        )

    def end_lines(self) -> None:
        """The invocation on this thread is over: what it printed without a line end is a line now."""
        for stream in self._streams:
            stream.end_line()

    def _read_descriptor(self, receiver: int, number: int) -> None:
        rest = b""
        while data := os.read(receiver, 65536):
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                text = line.rstrip(b"\r").decode("utf-8", "backslashreplace")
                self.say(text, print_level(number, text), invocation=self._only_running() or _NOBODY)


def print_level(number: int, text: str) -> int:
    """Level of a printed line: information from stdout; from stderr an error, or a warning if it says so."""
    if number == 1:
        return logging.INFO
    return logging.WARNING if "warn" in text.lower() else logging.ERROR


class _Handler(logging.Handler):
    def __init__(self, capture: LogCapture) -> None:
        super().__init__()
        self._capture = capture

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 - a wrong format string of the user's must not end the function that logs
            self.handleError(record)
            return
        self._capture.say(text, record.levelno, record.name)


class _Begun(threading.local):
    """What was written without a line end yet, per thread and invocation: coroutines share a thread."""

    def __init__(self) -> None:
        self.texts: dict[Invocation, str] = {}


class _LineStream(io.TextIOBase):
    """`sys.stdout` or `sys.stderr` of user code: whole lines become log lines."""

    encoding = "utf-8"
    errors = "backslashreplace"
    line_buffering = True
    mode = "w"

    def __init__(self, capture: LogCapture, number: int) -> None:
        self._capture = capture
        self._number = number
        self._begun = _Begun()
        self.name = "<stdout>" if number == 1 else "<stderr>"
        self.buffer = _ByteStream(self)

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if self._capture.is_replay:
            return len(text)
        *lines, begun = (self._begun.texts.pop(CURRENT.get(), "") + text).split("\n")
        if len(begun) > _LONGEST_LINE:
            lines, begun = [*lines, begun], ""
        if begun:
            self._begun.texts[CURRENT.get()] = begun
        for line in lines:
            self._say(line)
        return len(text)

    def end_line(self) -> None:
        begun = self._begun.texts.pop(CURRENT.get(), "")
        if begun:
            self._say(begun)

    def _say(self, line: str) -> None:
        line = line.rstrip("\r")
        self._capture.say(line, print_level(self._number, line))

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._number

    def reconfigure(self, **_: Any) -> None:
        """Apps set an encoding here; text is not encoded at all."""


class _ByteStream(io.RawIOBase):
    """`sys.stdout.buffer`: bytes of any encoding."""

    def __init__(self, stream: _LineStream) -> None:
        self._stream = stream

    def write(self, data: Any) -> int:
        raw = bytes(data)
        self._stream.write(raw.decode("utf-8", "backslashreplace"))
        return len(raw)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()
