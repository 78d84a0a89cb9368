"""`POST operations` of the webhook API: operations and answers as values, for `perdure.client` and the command line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from perdure.host.api_errors import bad_argument
from perdure.host.exchange import JSON_TYPE, Request, Response
from perdure.host.json_body import json_text
from perdure.model.operations import ListInstances, Operation, OperationAnswer, asked_by

LARGEST_PAGE = 1000
#: the years 1 to 9999 in microseconds since 1970
_FIRST_TIME, _LAST_TIME = -62_135_596_800_000_000, 253_402_300_799_999_999

_decoder: msgspec.json.Decoder[Operation] = msgspec.json.Decoder(Operation)


async def carry_out(
    request: Request, ask: Callable[[Operation, str], Awaitable[OperationAnswer]], hub: str, address: str
) -> Response:
    """Answer one operation with its answer, also when it is refused: that is a value like any other. What it says of
    who asks is told together with the `address` that it comes from."""
    try:
        operation = _decoder.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return bad_argument(f"The body is not an operation of this version: {error}")
    wrong = _problem(operation)
    if wrong is not None:
        return bad_argument(wrong)
    said = getattr(operation, "by", "")
    known = asked_by(operation, f"{said} from {address}" if said else address, by_hand=bool(said))
    return Response(200, msgspec.json.encode(await ask(known, hub)), [JSON_TYPE])


def _problem(operation: Operation) -> str | None:
    """What no hub could work with."""
    if isinstance(operation, ListInstances) and not 1 <= operation.top <= LARGEST_PAGE:
        return f"top is {operation.top}. Expected 1 to {LARGEST_PAGE}."
    text = getattr(operation, "input", None)
    if text is not None and json_text(text.encode("utf-8", "surrogatepass"))[0] is None:
        return f"input is no JSON text: {text[:100]!r}."
    times = [(name, getattr(operation, name, 0)) for name in ("start_at", "due")]
    chosen = getattr(operation, "filter", None)
    times += [(name, getattr(chosen, name, None) or 0) for name in ("created_from", "created_to")]
    for name, value in times:
        if not _FIRST_TIME <= value <= _LAST_TIME:
            return f"{name} is {value}. Expected microseconds since 1970, in the years 1 to 9999."
    if not _is_storable(msgspec.to_builtins(operation)):
        return "A number is beyond 64 bits."
    return None


def _is_storable(value: Any) -> bool:
    """Whether all whole numbers in a value fit the integers of stores."""
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    if isinstance(value, dict):
        return all(map(_is_storable, value.values()))
    return all(map(_is_storable, value)) if isinstance(value, (list, tuple)) else True
