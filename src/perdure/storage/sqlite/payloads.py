"""Long values: which form a text takes in its column, and back.

Three forms, by the length of the text: short ones stand in the row itself; longer ones of an instance have a row of
their own in `payload`, so that turns that do not touch them do not write them again; from the threshold on they are
compressed, wherever they stand.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

#: the longest text that stands in the instance's row
INLINE = 1024
_LEVEL = 1
_PLAIN, _COMPRESSED = 1, 2

_parse: msgspec.json.Decoder[list[dict[str, msgspec.Raw]]] = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


def compress(text: str) -> bytes:
    return zlib.compress(text.encode(), _LEVEL)


def pack(text: str | None, threshold: int) -> str | bytes | None:
    """The form in an inbox or work row: the text, or bytes when it is compressed."""
    if text is None or len(text) <= threshold:
        return text
    return compress(text)


def unpack(cell: Any) -> Any:
    """The text behind a cell of `pack`."""
    return zlib.decompress(cell).decode() if isinstance(cell, bytes) else cell


def payload_row(text: str, threshold: int) -> tuple[int, str | bytes]:
    """Format and body of a payload row."""
    return (_PLAIN, text) if len(text) <= threshold else (_COMPRESSED, compress(text))


def payload_text(body: str | bytes) -> str:
    """The text of a payload row."""
    return str(unpack(body))


def history_row(body: bytes, threshold: int) -> tuple[int, str, bytes | None]:
    """Format, body and packed of a history row: packed when one of its events holds a value above the threshold."""
    text = body.decode()
    if len(body) <= threshold:
        return _PLAIN, text, None
    events = _parse.decode(body)
    if not any(len(bytes(value)) > threshold for event in events for value in event.values()):
        return _PLAIN, text, None
    return _COMPRESSED, outline(events, threshold), zlib.compress(body, _LEVEL)


def outline(events: list[dict[str, msgspec.Raw]], threshold: int) -> str:
    """The events without their long values; `<Key>Size` says how long each was."""
    short: list[dict[str, Any]] = []
    for event in events:
        kept: dict[str, Any] = {}
        for key, value in event.items():
            if len(bytes(value)) <= threshold:
                kept[key] = value
            else:
                decoded = msgspec.json.decode(value)
                kept[f"{key}Size"] = len(decoded) if isinstance(decoded, str) else len(bytes(value))
        short.append(kept)
    return msgspec.json.encode(short).decode()


def history_body(format: int, body: str, packed: bytes | None) -> bytes:
    """The turn's events as they were given."""
    return zlib.decompress(packed) if format == _COMPRESSED and packed is not None else body.encode()
