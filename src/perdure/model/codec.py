"""Values <-> bytes, versioned: history rows and messages as JSON text, frames of the channel as MessagePack."""

from __future__ import annotations

import msgspec

from perdure.model.history import HistoryEvent

#: format byte of a history row: a JSON array of tagged event objects
HISTORY_FORMAT = 1

_encoder = msgspec.json.Encoder()
_history_decoder: msgspec.json.Decoder[list[HistoryEvent]] = msgspec.json.Decoder(list[HistoryEvent])
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
