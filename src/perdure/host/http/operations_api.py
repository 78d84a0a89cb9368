"""`POST operations` of the webhook API: operations and answers as values, for `perdure.client` and the command line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from perdure.host.http.api_errors import bad_argument
from perdure.host.http.exchange import JSON_TYPE, Request, Response
from perdure.host.http.json_body import json_text
from perdure.model.operations import Operation, OperationAnswer, asked_by
from perdure.taskhub.malformed import malformed

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
    wrong = malformed(operation)
    text = getattr(operation, "input", None)
    if wrong is None and text is not None and json_text(text.encode("utf-8", "surrogatepass"))[0] is None:
        return f"input is no JSON text: {text[:100]!r}."
    return wrong
