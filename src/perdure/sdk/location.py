"""Where in the user's code something is: code object and instruction, turned into `file:line` when somebody asks."""

from __future__ import annotations

import sys
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

#: frames of the SDK itself, which are never the user's place
_OWN = __name__.rpartition(".")[0]


def _is_users(frame: FrameType) -> bool:
    """Whether a frame is of the user's code or of a package of theirs: not of the SDK, not of the standard library."""
    name = str(frame.f_globals.get("__name__", ""))
    return name.rpartition(".")[0] != _OWN and name.partition(".")[0] not in sys.stdlib_module_names


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
        if inner is None:
            break
        if frame is None or _is_users(inner):
            frame = inner
        running = getattr(running, "gi_yieldfrom", None) or getattr(running, "cr_await", None)
    return place(frame.f_code, frame.f_lasti) if frame is not None else ""


def raising_place(error: BaseException) -> str:
    """The user's line that an exception left last; empty when it never was in user code."""
    found = ""
    trace = error.__traceback__
    while trace is not None:
        if _is_users(trace.tb_frame):
            found = place(trace.tb_frame.f_code, trace.tb_lasti)
        trace = trace.tb_next
    return found


def raising_module(error: BaseException) -> str:
    """The module whose code raised; empty when nothing tells."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else str(trace.tb_frame.f_globals.get("__name__", ""))
