"""Walks over instances: listings and counts, step by step, so that none keeps others from a connection for long."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from perdure.model.instance import InstanceFilter, InstanceRecord, Page, RuntimeStatus
from perdure.storage.listing import (
    CREATED,
    FEW,
    ID,
    LAST,
    PAGE_SIZE,
    STATUS,
    Key,
    Position,
    continuation_at,
    is_open,
    position_of,
    size_of,
    start,
)
from perdure.storage.postgres.batches import clean
from perdure.storage.postgres.rows import record_of
from perdure.storage.provider import Counts

#: instances that the first step of a walk looks at, and the most that one looks at: each twice as many as the last
FIRST_WINDOW, WIDEST_WINDOW = 1000, 16_000

#: calls a function of the store: its name, its arguments; the rows
Call = Callable[..., Awaitable[list[Any]]]

_encode = msgspec.json.Encoder().encode


def arguments(hub: int, filter: InstanceFilter, position: Position, window: int) -> list[Any]:
    """What `page@` and `count@` take first."""
    key = position.key
    tags = {clean(name): clean(value) for name, value in (filter.tags or {}).items()}
    return [
        hub,
        position.order,
        key[0] if position.order == CREATED else None,
        key[-1] if position.order != ID else None,
        _cleaned(str(key[0])) if position.order == ID else None,
        window,
        LAST if filter.created_to is None else filter.created_to,
        sorted(set(map(int, filter.statuses))) or None,
        _cleaned(filter.id_prefix),
        filter.created_from or 0,
        _cleaned(filter.name_prefix),
        _cleaned(filter.parent_id),
        _encode(tags).decode() if tags else None,
        list(map(int, filter.kinds)) or None,
    ]


def _cleaned(text: str | None) -> str | None:
    return None if text is None else clean(text)


def _after(order: str, created: int, n: int, instance_id: str) -> Position:
    """Behind an instance; the least text above its id that PostgreSQL can hold."""
    keys: dict[str, Key] = {CREATED: [created, n], STATUS: [n], ID: [instance_id + "\x01"]}
    return Position(order, keys[order])


class _Walk:
    """One walk in the making: where it stands, and how far its next step looks."""

    def __init__(self, hub: int, filter: InstanceFilter) -> None:
        self._hub, self._filter = hub, filter
        self._window = FIRST_WINDOW
        self._order = ""
        self._position: Position | None = None

    async def _begin(self, call: Call) -> Position:
        few = False
        if is_open(self._filter):
            statuses = list(map(int, self._filter.statuses))
            ((count,),) = await call("few_of_status", self._hub, statuses, FEW + 1)
            few = count <= FEW
        return start(self._filter, few)

    async def _look(self, call: Call, function: str, *more: Any) -> list[Any]:
        """The rows of one step. The walk is over when it then stands nowhere."""
        position = self._position or await self._begin(call)
        rows = await call(function, *arguments(self._hub, self._filter, position, self._window), *more)
        self._window = min(2 * self._window, WIDEST_WINDOW)
        self._position = None
        if rows and rows[-1]["last_n"] is not None:
            last = rows.pop()
            self._position = _after(position.order, last["last_created"], last["last_n"], last["last_id"])
        self._order = position.order
        return rows


class Listing(_Walk):
    """One page in the making."""

    def __init__(self, hub: int, filter: InstanceFilter, top: int, continuation: str | None, payloads: bool) -> None:
        """Raises `UnknownContinuation`."""
        super().__init__(hub, filter)
        self._top, self._payloads = top, payloads
        self._items: list[InstanceRecord] = []
        self._size = 0
        if continuation:
            self._position = position_of(filter, continuation)

    async def step(self, call: Call) -> Page | None:
        """The page, or None when another step is needed."""
        wanted = self._top + 1 - len(self._items)
        rows = await self._look(call, "page", wanted, self._payloads, PAGE_SIZE - self._size)
        items = [record_of(row) for row in rows]
        self._items += items
        self._size += sum(map(size_of, items))
        if len(self._items) > self._top:
            items = self._items[: self._top]
            more = _after(self._order, items[-1].created, items[-1].n, items[-1].instance_id) if items else None
            return Page(items, None if more is None else continuation_at(more))
        if self._position is None:
            return Page(self._items)
        return Page(self._items, continuation_at(self._position)) if self._size > PAGE_SIZE else None


class Counting(_Walk):
    """One count in the making."""

    def __init__(self, hub: int, filter: InstanceFilter, by_name: bool) -> None:
        super().__init__(hub, _by_status(filter))
        self._window = WIDEST_WINDOW
        self._by_name = by_name
        self._counts: Counts = {}

    async def step(self, call: Call) -> Counts | None:
        """The counts, or None when another step is needed."""
        for row in await self._look(call, "count", self._by_name):
            key = (row["name"], row["status"])
            self._counts[key] = self._counts.get(key, 0) + row["number"]
        return None if self._position is not None else self._counts


def _by_status(filter: InstanceFilter) -> InstanceFilter:
    """Without a range of times or ids every status is walked: the index alone may have the answer."""
    if filter.statuses or (filter.id_prefix, filter.created_from, filter.created_to) != (None, None, None):
        return filter
    return msgspec.structs.replace(filter, statuses=tuple(map(int, RuntimeStatus)))
