"""Where in the user's code something is: code object and instruction, turned into `file:line` when somebody asks."""

from __future__ import annotations

from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

#: frames of the SDK itself, which are never the user's place
_OWN = __name__.rpartition(".")[0]


@lru_cache(maxsize=4096)
def place(code: CodeType, instruction: int) -> str:
    """`file:line in function` of an instruction."""
    return f"{code.co_filename}:{line_of(code, instruction)} in {code.co_name}"


def line_of(code: CodeType, instruction: int) -> int:
    """The line number of an instruction."""
    for start, end, line in code.co_lines():
        if start <= instruction < end and line is not None:
            return line
    return code.co_firstlineno


def waiting_place(running: Any) -> str:
    """Where a suspended generator or coroutine waits: its innermost user frame through `yield from` and `await`."""
    frame: FrameType | None = None
    while running is not None:
        inner = getattr(running, "gi_frame", None) or getattr(running, "cr_frame", None)
        if inner is None or inner.f_globals.get("__package__") == _OWN:
            break
        frame = inner
        running = getattr(running, "gi_yieldfrom", None) or getattr(running, "cr_await", None)
    return place(frame.f_code, frame.f_lasti) if frame is not None else ""


def raising_place(error: BaseException) -> str:
    """The user's line that an exception left last; empty when it never was in user code."""
    found = ""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__package__") != _OWN:
            found = place(trace.tb_frame.f_code, trace.tb_lasti)
        trace = trace.tb_next
    return found
