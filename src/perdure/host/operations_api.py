"""`POST operations` of the webhook API: operations and answers as values, for `perdure.client` and the command line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from perdure.host.api_errors import bad_argument
from perdure.host.exchange import JSON_TYPE, Request, Response
from perdure.model.operations import ListInstances, Operation, OperationAnswer

LARGEST_PAGE = 1000
_LARGEST_NUMBER = 2**53

_decoder: msgspec.json.Decoder[Operation] = msgspec.json.Decoder(Operation)


async def carry_out(
    request: Request, ask: Callable[[Operation, str], Awaitable[OperationAnswer]], hub: str
) -> Response:
    """Answer one operation with its answer, also when it is refused: that is a value like any other."""
    try:
        operation = _decoder.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return bad_argument(f"The body is not an operation of this version: {error}")
    wrong = _problem(operation)
    if wrong is not None:
        return bad_argument(wrong)
    return Response(200, msgspec.json.encode(await ask(operation, hub)), [JSON_TYPE])


def _problem(operation: Operation) -> str | None:
    """What no hub could work with."""
    if isinstance(operation, ListInstances) and not 1 <= operation.top <= LARGEST_PAGE:
        return f"top is {operation.top}. Expected 1 to {LARGEST_PAGE}."
    for name in ("start_at", "due"):
        value = getattr(operation, name, 0)
        if not -_LARGEST_NUMBER < value < _LARGEST_NUMBER:
            return f"{name} is {value}. Expected microseconds since 1970."
    chosen = getattr(operation, "filter", None)
    for name in ("created_from", "created_to"):
        value = getattr(chosen, name, None) or 0
        if not -_LARGEST_NUMBER < value < _LARGEST_NUMBER:
            return f"{name} is {value}. Expected microseconds since 1970."
    return None
