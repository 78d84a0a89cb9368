"""Error bodies of the webhook API: which status code and which PascalCase object each refusal gives."""

from __future__ import annotations

from perdure.host.http.exchange import Response, json_response
from perdure.model.operations import RefusalCode, Refused

BAD_ARGUMENT = "One or more of the arguments submitted is incorrect"
BAD_JSON = "Invalid JSON content"
WENT_WRONG = "Something went wrong while processing your request"
_ARGUMENT_ERROR = "System.ArgumentException"
_STATE_ERROR = "System.InvalidOperationException"

EMPTY = {202: Response(202), 404: Response(404), 410: Response(410)}


def message(status: int, text: str) -> Response:
    """The short shape."""
    return json_response(status, {"Message": text})


def detailed(status: int, text: str, inner: str, kind: str) -> Response:
    """The long shape; there is no stack of ours to show."""
    return json_response(status, {"Message": text, "ExceptionMessage": inner, "ExceptionType": kind, "StackTrace": ""})


def bad_argument(inner: str) -> Response:
    """400 in the long shape."""
    return detailed(400, BAD_ARGUMENT, inner, _ARGUMENT_ERROR)


def bad_json(inner: str) -> Response:
    """400 for a body that is not JSON."""
    return detailed(400, BAD_JSON, inner, "Newtonsoft.Json.JsonReaderException")


def conflict(inner: str) -> Response:
    """The documented 500 of an instance in the wrong state."""
    return detailed(500, WENT_WRONG, inner, _STATE_ERROR)


def refusal(refused: Refused) -> Response:
    """The response that a refused operation gives."""
    match refused.code:
        case RefusalCode.NOT_FOUND:
            return EMPTY[404]
        case RefusalCode.GONE:
            return EMPTY[410]
        case RefusalCode.UNKNOWN_FUNCTION | RefusalCode.BAD_REQUEST:
            return bad_argument(refused.text)
        case RefusalCode.EXISTS | RefusalCode.WRONG_STATE:
            return conflict(refused.text)
        case RefusalCode.UNAVAILABLE:
            return message(503, refused.text)


def listing_refused(refused: Refused, token: str | None) -> Response:
    """As `refusal`, for a listing that was to go on at `token`: the text names the header."""
    if token is not None and refused.code is RefusalCode.BAD_REQUEST:
        return bad_argument(f"x-ms-continuation-token: {refused.text}")
    return refusal(refused)
