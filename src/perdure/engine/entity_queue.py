"""What waits for an entity, in order, with the messages of each orchestration at hand.

Whatever waits, the next step costs what it takes away: a lock holder's messages are found without looking at those of
all others, and messages leave from anywhere in the queue without moving the rest.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from perdure.model.history import EntityLockRequested, EntityOperationRequested, EntityUnlocked, HistoryEvent

_ADDRESSED = (EntityOperationRequested, EntityUnlocked, EntityLockRequested)


class Waiting(Protocol):
    """A waiting message, as far as the rules look at it. `seq` names it."""

    seq: int
    event: HistoryEvent


Row = TypeVar("Row", bound=Waiting)


class EntityQueue(Generic[Row]):
    """The inbox of one entity."""

    __slots__ = ("_by_caller", "_rows")

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._rows: OrderedDict[int, Row] = OrderedDict()
        self._by_caller: dict[int, OrderedDict[int, Row]] = {}
        for row in rows:
            self.append(row)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def __contains__(self, seq: int) -> bool:
        return seq in self._rows

    def append(self, row: Row) -> None:
        """Put a message behind all others."""
        self._rows[row.seq] = row
        caller = _caller(row)
        if caller:
            self._by_caller.setdefault(caller, OrderedDict())[row.seq] = row

    def appendleft(self, row: Row) -> None:
        """Put a message before all others."""
        self.append(row)
        self._rows.move_to_end(row.seq, last=False)
        caller = _caller(row)
        if caller:
            self._by_caller[caller].move_to_end(row.seq, last=False)

    def of(self, caller: int) -> Iterator[Row]:
        """The calls, lock requests and unlocks of one orchestration, in order."""
        return iter(self._by_caller.get(caller, {}).values())

    def take(self, seqs: Iterable[int]) -> list[Row]:
        """Take these messages away."""
        return [self._take(seq) for seq in seqs]

    def remove(self, row: Row) -> None:
        """Take one message away."""
        self._take(row.seq)

    def _take(self, seq: int) -> Row:
        row = self._rows.pop(seq)
        caller = _caller(row)
        if caller:
            rows = self._by_caller[caller]
            del rows[seq]
            if not rows:
                del self._by_caller[caller]
        return row


def _caller(row: Waiting) -> int:
    """The orchestration that a message belongs to, 0 for a signal."""
    event = row.event
    return event.caller if isinstance(event, _ADDRESSED) else 0
