"""Which index a listing walks, and where its next page goes on."""

from __future__ import annotations

from typing import Any

import msgspec

from perdure.model.instance import InstanceFilter, InstanceRecord
from perdure.storage.provider import StoreError

#: with no more instances than this in the wanted statuses, a listing looks at all of them
FEW = 2000
_LAST = (1 << 63) - 1
_CREATED, _STATUS, _ID = "created", "status", "id"


class Position(msgspec.Struct, frozen=True, array_like=True):
    """The order of a listing, and the key after which it goes on: (created, n), (n) or (least id)."""

    order: str
    key: list[int | str]


_encode = msgspec.json.Encoder().encode
_decode: msgspec.json.Decoder[Position] = msgspec.json.Decoder(Position)


def orders(filter: InstanceFilter) -> dict[str, list[int | str]]:
    """The orders that fit a filter, best first, each with the key before its first instance."""
    start = (filter.created_from or 0) - 1
    if filter.id_prefix is not None:
        return {_ID: [filter.id_prefix]}
    if filter.statuses and filter.created_from is None and filter.created_to is None:
        return {_STATUS: [-1], _CREATED: [start, _LAST]}
    return {_CREATED: [start, _LAST], **({_STATUS: [-1]} if filter.statuses else {})}


def position_of(filter: InstanceFilter, continuation: str) -> Position:
    """Where a page goes on. Raises `StoreError` on a continuation that is none of this filter."""
    try:
        position = _decode.decode(continuation)
    except msgspec.DecodeError:
        raise _unknown(continuation) from None
    start = orders(filter).get(position.order, [])
    if not start or [type(part) for part in position.key] != [type(part) for part in start]:
        raise _unknown(continuation)
    return position


def _unknown(continuation: str) -> StoreError:
    return StoreError(f"unknown continuation {continuation!r}: pass on what the last page gave, or none")


def continuation_after(order: str, last: InstanceRecord) -> str:
    """The continuation of a page that ends with this instance."""
    keys: dict[str, list[int | str]] = {
        _CREATED: [last.created, last.n],
        _STATUS: [last.n],
        # the least text above this id that PostgreSQL can hold
        _ID: [last.instance_id + "\x01"],
    }
    return _encode(Position(order, keys[order])).decode()


def arguments(hub: int, filter: InstanceFilter, position: Position, top: int) -> list[Any]:
    """The arguments of `page@`."""
    key = position.key
    return [
        hub,
        position.order,
        key[0] if position.order == _CREATED else None,
        key[-1] if position.order != _ID else None,
        key[0] if position.order == _ID else None,
        top,
        filter.created_from or 0,
        _LAST if filter.created_to is None else filter.created_to,
        list(map(int, sorted(set(filter.statuses)))) or None,
        filter.id_prefix,
        filter.name_prefix,
        filter.parent_id,
        _encode(filter.tags).decode() if filter.tags else None,
        list(map(int, filter.kinds)) or None,
    ]
