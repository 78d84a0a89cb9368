"""How a command ends: its exit code, and an error as users see it."""

from __future__ import annotations

import os
import sys

DONE, FAILED, USAGE, NOT_FOUND, TIMED_OUT = 0, 1, 2, 4, 5


def print_error(text: str) -> None:
    """Write an error on the error output, in red where colours can be seen."""
    coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    sys.stderr.write(f"\x1b[31m{text}\x1b[0m\n" if coloured else f"{text}\n")
    sys.stderr.flush()
