"""Bodies that should be JSON: the compact text to store, or what is wrong."""

from __future__ import annotations

import json
from typing import NoReturn

import msgspec

_BOM = b"\xef\xbb\xbf"


def json_text(body: bytes) -> tuple[str | None, str | None]:
    """The compact JSON text of a body (None for an empty one), and what is wrong with it, if anything."""
    body = body.removeprefix(_BOM)
    if not body.strip():
        return None, None
    try:
        return msgspec.json.format(body, indent=-1).decode("utf-8"), None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_slowly(body)


def _read_slowly(body: bytes) -> tuple[str | None, str | None]:
    """Half of a surrogate pair is JSON, too: browsers write it. Mistakes are told with line and column."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_json)
        return json.dumps(value, separators=(",", ":"), allow_nan=False), None
    except RecursionError:
        return None, "The JSON is nested too deeply."
    except ValueError as error:
        return None, str(error)


def _no_json(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON.")
