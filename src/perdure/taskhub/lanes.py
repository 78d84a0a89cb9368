"""Instances that wait for a turn, and how many turns may run at once."""

from __future__ import annotations

from collections import deque

from perdure.model.instance import InstanceKind
from perdure.taskhub.instance import Instance


class Lane:
    """A queue of instances and the bound on their turns under way."""

    __slots__ = ("limit", "name", "ready", "running")

    def __init__(self, name: str, limit: int) -> None:
        self.name, self.limit = name, limit
        self.ready: deque[Instance] = deque()
        self.running = 0


class Lanes:
    """One lane for all, or one for orchestrations and one for entities when these have a bound of their own."""

    __slots__ = ("_entities", "_orchestrations", "all")

    def __init__(self, turns: int, entity_batches: int | None) -> None:
        self._orchestrations = self._entities = Lane("turns", turns)
        if entity_batches is not None:
            self._entities = Lane("entity batches", entity_batches)
        self.all = tuple(dict.fromkeys((self._orchestrations, self._entities)))

    def limit(self, turns: int, entity_batches: int | None) -> None:
        """Other bounds from now on. Whether entities have one of their own stays as it is."""
        self._orchestrations.limit = turns
        if self._entities is not self._orchestrations:
            self._entities.limit = entity_batches if entity_batches is not None else turns

    def of(self, instance: Instance) -> Lane:
        """The lane that an instance takes."""
        return self._entities if instance.state.kind is InstanceKind.ENTITY else self._orchestrations

    @property
    def running(self) -> int:
        """Turns under way."""
        return sum(lane.running for lane in self.all)

    @property
    def queued(self) -> int:
        """Instances that wait."""
        return sum(len(lane.ready) for lane in self.all)

    def clear(self) -> None:
        """Nothing waits, nothing is under way."""
        for lane in self.all:
            lane.ready.clear()
            lane.running = 0
