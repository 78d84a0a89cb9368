"""Frames on the channel between host and worker: bytes <-> messages, without any I/O.

A frame is a header (length, tag) and a body. Tag 0: a MessagePack list of messages. Tag k: a piece of attachment k.
A large HTTP body travels as an attachment beside its message, in pieces, so that it neither keeps small frames
waiting nor is copied: pieces are slices of the sender's object and land in the receiver's.
"""

from __future__ import annotations

import io
import struct
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from perdure.host.protocol.messages import Attached, AttachmentBegins, HttpAnswer, HttpInvocation

_HEADER = struct.Struct("<II")
_MESSAGES = 0

#: bodies from this size on travel as attachments
LARGE = 64 * 1024
#: bytes in one piece of an attachment
PIECE = 256 * 1024

_encoder = msgspec.msgpack.Encoder()
M = TypeVar("M")
Buffers = list["bytearray | memoryview"]


def encode_frame(messages: list[Any]) -> bytearray:
    """One frame with these messages. Text that UTF-8 cannot carry (lone surrogates) is escaped."""
    frame = bytearray(_HEADER.size)
    try:
        _encoder.encode_into(messages, frame, _HEADER.size)
    except UnicodeEncodeError:
        _encoder.encode_into([_escaped(message) for message in messages], frame, _HEADER.size)
    _HEADER.pack_into(frame, 0, len(frame) - _HEADER.size, _MESSAGES)
    return frame


def _escaped(value: Any) -> Any:
    """`value` with every lone surrogate in its texts written as an escape."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, msgspec.Struct):
        return type(value)(*[_escaped(getattr(value, name)) for name in value.__struct_fields__])
    if isinstance(value, (list, tuple)):
        return type(value)(_escaped(item) for item in value)
    if isinstance(value, dict):
        return {_escaped(key): _escaped(item) for key, item in value.items()}
    return value


class Outbox:
    """What waits to be sent, and in which order: small messages first, attachments piece by piece in turn."""

    __slots__ = ("_attachments", "_last", "_messages")

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._attachments: deque[tuple[int, memoryview, Any]] = deque()
        self._last = 0

    def __bool__(self) -> bool:
        return bool(self._messages or self._attachments)

    def put(self, message: Any) -> None:
        """Add one message."""
        if isinstance(message, (HttpInvocation, HttpAnswer)) and len(message.body) >= LARGE:
            self._last = self._last % 0xFFFFFFFF + 1
            self._messages.append(AttachmentBegins(self._last, len(message.body)))
            bare = msgspec.structs.replace(message, body=b"")
            self._attachments.append((self._last, memoryview(message.body), bare))
        else:
            self._messages.append(message)

    def extend(self, messages: list[Any]) -> None:
        """Add messages that carry no body."""
        self._messages += messages

    def take(self) -> Buffers:
        """The next bytes to send: everything small, else one piece. Empty when nothing waits."""
        if self._messages:
            messages, self._messages = self._messages, []
            return [encode_frame(messages)]
        if not self._attachments:
            return []
        number, rest, message = self._attachments.popleft()
        piece, rest = rest[:PIECE], rest[PIECE:]
        if rest:
            self._attachments.append((number, rest, message))
        else:
            self._messages.append(Attached(number, message))
        return [bytearray(_HEADER.pack(len(piece), number)), piece]


class Inbox(Generic[M]):
    """Cuts received bytes into messages. Fill `buffer()`, then say how much with `filled()`.

    `on_messages` gets the list of each frame, decoded by `decoder`.
    """

    __slots__ = ("_attachments", "_data", "_decoder", "_direct", "_end", "_on_messages", "_start", "_tag", "_whole")

    _SIZE = 256 * 1024

    def __init__(self, decoder: msgspec.msgpack.Decoder[list[M]], on_messages: Callable[[list[M]], None]) -> None:
        self._decoder = decoder
        self._on_messages = on_messages
        self._data = memoryview(bytearray(self._SIZE))
        self._start = 0
        self._end = 0
        #: what is left of a frame that is read straight to its place, its tag, and its place if it is a big list
        self._direct: memoryview | None = None
        self._tag = 0
        self._whole: bytearray | None = None
        self._attachments: dict[int, _Attachment] = {}

    def buffer(self) -> memoryview:
        """Where the next received bytes go; never empty."""
        return self._direct if self._direct is not None else self._data[self._end :]

    def filled(self, count: int) -> None:
        """`count` bytes were put into `buffer()`. Raises `msgspec.DecodeError` on bytes that are no frame."""
        if self._direct is not None:
            self._direct = self._direct[count:]
            if not self._direct:
                self._direct = None
                self._finish(self._whole)
            return
        self._end += count
        self._cut()

    def _cut(self) -> None:
        data, header = self._data, _HEADER.size
        while self._end - self._start >= header:
            length, self._tag = _HEADER.unpack_from(data, self._start)
            body, available = self._start + header, self._end - self._start - header
            if available >= length:
                self._start = body + length
                if self._tag == _MESSAGES:
                    self._deliver(data[body : self._start])
                else:
                    self._piece(length)[:] = data[body : self._start]
                    self._finish(None)
            elif self._tag != _MESSAGES or length + header > self._SIZE // 2:
                self._read_direct(length, data[body : self._end])
                return
            else:
                break
        rest = self._end - self._start
        if self._start and (not rest or self._start > self._SIZE // 2):
            data[:rest] = bytes(data[self._start : self._end])
            self._start, self._end = 0, rest

    def _read_direct(self, length: int, begun: memoryview) -> None:
        """The rest of this frame goes straight to where it belongs."""
        if self._tag == _MESSAGES:
            self._whole = bytearray(length)
            place = memoryview(self._whole)
        else:
            place = self._piece(length)
        place[: len(begun)] = begun
        self._direct = place[len(begun) :]
        self._start = self._end = 0

    def _piece(self, length: int) -> memoryview:
        return self._attachments[self._tag].next(length)

    def _finish(self, whole: bytearray | None) -> None:
        if self._tag == _MESSAGES and whole is not None:
            self._whole = None
            self._deliver(memoryview(whole))

    def _deliver(self, frame: memoryview) -> None:
        messages = self._decoder.decode(frame)
        if any(type(message) in (Attached, AttachmentBegins) for message in messages):
            messages = self._attach(messages)
        if messages:
            self._on_messages(messages)

    def _attach(self, messages: list[M]) -> list[M]:
        """Messages with their attachments in place of the channel's own."""
        ready: list[Any] = []
        for message in messages:
            if isinstance(message, AttachmentBegins):
                self._attachments[message.number] = _Attachment(message.size)
            elif isinstance(message, Attached):
                body = self._attachments.pop(message.number).value()
                ready.append(msgspec.structs.replace(message.message, body=body))
            else:
                ready.append(message)
        return ready


class _Attachment:
    """A body on its way in. BytesIO gives its buffer away as `bytes` without a copy."""

    __slots__ = ("_file", "_position", "_view")

    def __init__(self, size: int) -> None:
        self._file = io.BytesIO()
        self._file.seek(size - 1)
        self._file.write(b"\0")
        self._view = self._file.getbuffer()
        self._position = 0

    def next(self, length: int) -> memoryview:
        place = self._view[self._position : self._position + length]
        self._position += length
        return place

    def value(self) -> bytes:
        self._view.release()
        return self._file.getvalue()
