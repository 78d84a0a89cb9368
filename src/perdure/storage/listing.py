"""Which order a listing walks, and where its next page goes on: the rules that the databases share."""

from __future__ import annotations

import json

import msgspec

from perdure.model.instance import InstanceFilter, InstanceRecord
from perdure.storage.provider import UnknownContinuation

#: with no more instances than this in the wanted statuses, a listing looks at all of them
FEW = 2000
LAST = (1 << 63) - 1
#: characters of payloads after which a page ends, however few instances it has
PAGE_SIZE = 8 << 20
CREATED, STATUS, ID = "created", "status", "id"

Key = list[int | str]


class Position(msgspec.Struct, frozen=True, array_like=True):
    """The order of a listing, and the key after which it goes on: (created, n), (n) or (least id)."""

    order: str
    key: Key


_decode: msgspec.json.Decoder[Position] = msgspec.json.Decoder(Position)


def orders(filter: InstanceFilter) -> dict[str, Key]:
    """The orders that fit a filter, best first, each with the key before its first instance."""
    before = (filter.created_from or 0) - 1
    if filter.id_prefix is not None:
        return {ID: [filter.id_prefix]}
    if filter.statuses and filter.created_from is None and filter.created_to is None:
        return {STATUS: [-1], CREATED: [before, LAST]}
    return {CREATED: [before, LAST], **({STATUS: [-1]} if filter.statuses else {})}


def is_open(filter: InstanceFilter) -> bool:
    """Whether the best order hangs on how many instances have the wanted statuses: within a range of times, few are
    looked at rather than the range."""
    fitting = orders(filter)
    return next(iter(fitting)) == CREATED and STATUS in fitting


def start(filter: InstanceFilter, few: bool) -> Position:
    """Where a walk begins. `few`, where the order is open: no more than `FEW` have the wanted statuses."""
    fitting = orders(filter)
    order = STATUS if few and is_open(filter) else next(iter(fitting))
    return Position(order, fitting[order])


def position_of(filter: InstanceFilter, continuation: str) -> Position:
    """Where a page goes on. Raises `UnknownContinuation` on one that is none of this filter."""
    try:
        position = _decode.decode(continuation)
    except msgspec.DecodeError:
        raise UnknownContinuation(continuation) from None
    start = orders(filter).get(position.order, [])
    if not start or [type(part) for part in position.key] != [type(part) for part in start]:
        raise UnknownContinuation(continuation)
    if not all(isinstance(part, str) or -1 <= part <= LAST for part in position.key):
        raise UnknownContinuation(continuation)
    return position


def size_of(record: InstanceRecord) -> int:
    """Characters of an instance's payloads."""
    return sum(len(text) for text in (record.input, record.output, record.custom_status, record.state) if text)


def continuation_at(position: Position) -> str:
    """The continuation of a page that ends there. ASCII, so that it fits a header."""
    return json.dumps([position.order, position.key], separators=(",", ":"))
