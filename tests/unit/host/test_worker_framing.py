"""Frames: cut anywhere, attachments beside small messages, texts that are no UTF-8."""

from __future__ import annotations

import random

import msgspec
import pytest

from perdure.host.protocol.framing import LARGE, PIECE, Inbox, Outbox, encode_frame
from perdure.host.protocol.messages import (
    BeginTurn,
    DropSession,
    Heartbeat,
    HostMessage,
    HttpAnswer,
    HttpInvocation,
    LogLine,
    WorkerMessage,
)
from perdure.model.execution import TurnRequest

HOST = msgspec.msgpack.Decoder(list[HostMessage])
WORKER = msgspec.msgpack.Decoder(list[WorkerMessage])


def wire(outbox: Outbox) -> bytes:
    taken = b""
    while buffers := outbox.take():
        taken += b"".join(bytes(buffer) for buffer in buffers)
    return taken


def receive(data: bytes, decoder, sizes) -> list:
    got: list = []
    inbox = Inbox(decoder, got.extend)
    while data:
        place = inbox.buffer()
        count = min(len(place), next(sizes), len(data))
        place[:count] = data[:count]
        data = data[count:]
        inbox.filled(count)
    return got


def request(body: bytes, name: str = "f") -> HttpInvocation:
    return HttpInvocation("i", name, "POST", "http://x/", [("a", "b")], {}, {}, body)


@pytest.mark.parametrize("seed", range(6))
def test_any_cut_gives_the_same_messages(seed: int) -> None:
    chance = random.Random(seed)
    outbox = Outbox()
    sent = []
    for number in range(60):
        body = bytes([number]) * chance.choice([0, 10, LARGE, PIECE, PIECE * 2 + 17])
        sent.append(request(body, f"f{number}") if chance.random() < 0.4 else DropSession(number))
        outbox.put(sent[-1])
    turn = BeginTurn("t", TurnRequest(1, 0, 3, "id", "name", 5, [], [b"x" * 600_000]))
    outbox.put(turn)
    largest = chance.choice([1 << 20, 4096, 70_000])
    got = receive(wire(outbox), HOST, iter(lambda: chance.randint(1, largest), 0))
    assert len(got) == len(sent) + 1
    assert [m for m in got if isinstance(m, DropSession)] == [m for m in sent if isinstance(m, DropSession)]
    assert sorted(got, key=repr) == sorted([*sent, turn], key=repr)
    assert all(type(m.body) is bytes for m in got if isinstance(m, HttpInvocation))


def test_small_messages_overtake_a_large_body() -> None:
    outbox = Outbox()
    outbox.put(HttpAnswer("slow", 200, [], b"x" * PIECE * 4))
    outbox.take()
    outbox.take()
    outbox.put(Heartbeat(7))
    rest = receive(bytes(outbox.take()[0]), WORKER, iter(lambda: 9, 0))
    assert rest == [Heartbeat(7)]


def test_two_large_bodies_take_turns() -> None:
    outbox = Outbox()
    first, second = b"a" * PIECE * 3, b"b" * PIECE * 3
    outbox.put(request(first, "first"))
    outbox.put(request(second, "second"))
    outbox.take()
    tags = [bytes(outbox.take()[0])[4] for _ in range(4)]
    assert tags == [1, 2, 1, 2]


def test_a_body_is_sent_without_a_copy() -> None:
    body = bytearray(b"x" * PIECE * 2)
    outbox = Outbox()
    outbox.put(HttpAnswer("i", 200, [], bytes(body)))
    outbox.take()
    piece = outbox.take()[1]
    assert isinstance(piece, memoryview) and len(piece) == PIECE


def test_lone_surrogates_are_escaped() -> None:
    frame = bytes(encode_frame([Heartbeat(1), LogLine(1, 20, "a\ud800b", "f\udfff")]))
    got = receive(frame, WORKER, iter(lambda: 1000, 0))
    assert [got[1].text, got[1].function] == ["a\\ud800b", "f\\udfff"]


def test_bytes_that_are_no_frame() -> None:
    with pytest.raises(msgspec.DecodeError):
        receive(b"\x03\x00\x00\x00\x00\x00\x00\x00\xc1\xc1\xc1", WORKER, iter(lambda: 100, 0))
