"""Values <-> bytes, versioned: history rows and messages as JSON text, frames of the channel as MessagePack."""

from __future__ import annotations

import msgspec

from perdure.model.history import HistoryEvent

#: format byte of a history row: a JSON array of tagged event objects
HISTORY_FORMAT = 1

_encoder = msgspec.json.Encoder()
_history_decoder: msgspec.json.Decoder[list[HistoryEvent]] = msgspec.json.Decoder(list[HistoryEvent])
_tags_decoder: msgspec.json.Decoder[dict[str, str]] = msgspec.json.Decoder(dict[str, str])
#: the trace context of an instance lies among its tags: an instance that nobody traces has no byte of it
_TRACE_TAG = "$trace"
_event_decoder: msgspec.json.Decoder[HistoryEvent] = msgspec.json.Decoder(HistoryEvent)


def encode_history(events: list[HistoryEvent]) -> bytes:
    """The body of one history row."""
    return _encoder.encode(events)


def decode_history(body: bytes | str) -> list[HistoryEvent]:
    """The events of one history row. Raises `msgspec.DecodeError` on a body that is none."""
    return _history_decoder.decode(body)


def encode_event(event: HistoryEvent) -> bytes:
    """The body of one inbox row."""
    return _encoder.encode(event)


def decode_event(body: bytes | str) -> HistoryEvent:
    """The event of one inbox row. Raises `msgspec.DecodeError` on a body that is none."""
    return _event_decoder.decode(body)


def encode_tags(tags: dict[str, str] | None, trace: str | None) -> str | None:
    """The tags of an instance as they are stored, with its trace context; None for neither."""
    if trace is not None:
        tags = {**(tags or {}), _TRACE_TAG: trace}
    return _encoder.encode(tags).decode() if tags else None


def decode_tags(text: str | None) -> tuple[dict[str, str] | None, str | None]:
    """The tags and the trace context of an instance."""
    if text is None:
        return None, None
    tags = _tags_decoder.decode(text)
    trace = tags.pop(_TRACE_TAG, None)
    return tags or None, trace
