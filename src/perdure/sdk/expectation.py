"""What type a result or an input is expected to have, and whether plain JSON is converted to it."""

from __future__ import annotations

from typing import Any, NamedTuple

from perdure.sdk.serialization import loads
from perdure.sdk.typed import convert


class Expectation(NamedTuple):
    """`type` is a hint for envelopes (enforced under strict typing); `converts`: plain JSON becomes it."""

    type: Any
    converts: bool


def expectation(type_: Any, *, converts: bool) -> Expectation | None:
    """The expectation for `type_`; None when nothing is expected."""
    return None if type_ is None else Expectation(type_, converts)


def decode(text: str, expected: Expectation | None, where: str = "result") -> Any:
    """The value of a JSON text as `expected`. Raises what `loads` and `convert` raise."""
    if expected is None:
        return loads(text)
    if expected.converts:
        return convert(loads(text), expected.type, where)
    return loads(text, expected.type)
