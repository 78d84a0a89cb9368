"""Numbers on the command line: what is refused is named, with what was expected."""

from __future__ import annotations

import math
from collections.abc import Callable

import typer


def whole(least: int, most: int | None = None) -> Callable[[object], int]:
    """Reads a whole number within these bounds."""
    expected = f"a whole number from {least}" + (f" to {most}" if most is not None else " on")

    def read(given: object) -> int:
        try:
            number = int(str(given))
        except ValueError:
            number = least - 1
        if number < least or (most is not None and number > most):
            raise typer.BadParameter(f"'{given}' is not {expected}.")
        return number

    return read


def seconds(given: object) -> float:
    """Reads a time in seconds, zero or more."""
    try:
        number = float(str(given))
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise typer.BadParameter(f"'{given}' is not a number of seconds, 0 or more.")
    return number
