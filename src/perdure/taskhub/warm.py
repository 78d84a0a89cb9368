"""The instances in memory, least recently used first, and which of them leave when there are too many."""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice

from perdure.engine.runtime_state import runs_code
from perdure.taskhub.instance import Instance, Phase
from perdure.taskhub.interfaces import Clock

#: instances looked at, beyond those that are too many, for some that may leave
_LOOK_AT = 32


class WarmInstances:
    """A bounded cache by number. Only instances that sleep may leave: when more than `most` are busy, the bound is
    exceeded, and there is no room for new ones."""

    def __init__(self, clock: Clock, most: int, idle: float) -> None:
        """`idle`: seconds after which a sleeping instance leaves anyway."""
        self._clock, self._most, self._idle = clock, most, idle
        # not a dict: that walks over all that left since it last grew to find the first one that is there
        self._instances: OrderedDict[int, Instance] = OrderedDict()
        self.get = self._instances.get

    def __len__(self) -> int:
        return len(self._instances)

    def __contains__(self, n: int) -> bool:
        return n in self._instances

    def all(self) -> list[Instance]:
        """All of them, least recently used first."""
        return list(self._instances.values())

    def clear(self) -> None:
        """Forget all."""
        self._instances.clear()

    def add(self, instance: Instance) -> None:
        """Keep an instance."""
        instance.used = self._clock.monotonic()
        self._instances[instance.state.n] = instance

    def touch(self, instance: Instance) -> None:
        """The instance is in use now."""
        instance.used = self._clock.monotonic()
        if instance.state.n in self._instances:
            self._instances.move_to_end(instance.state.n)

    def remove(self, instance: Instance) -> None:
        """Forget an instance."""
        self._instances.pop(instance.state.n, None)

    def has_room(self) -> bool:
        """Whether another instance fits, if need be in the place of one that sleeps."""
        return len(self._instances) < self._most or bool(self._sleepers(1))

    def make_room(self) -> None:
        """Forget sleeping instances, least recently used first, while there are too many."""
        count = len(self._instances) - self._most
        if count > 0:
            for instance in self._sleepers(count):
                self.remove(instance)

    def _sleepers(self, count: int) -> list[Instance]:
        """Up to `count` instances that may leave. What is found busy on the way goes to the end, so that the next look
        does not meet it again."""
        sleepers: list[Instance] = []
        busy: list[Instance] = []
        for instance in islice(self._instances.values(), count + _LOOK_AT):
            if len(sleepers) == count:
                break
            (sleepers if sleeps(instance) else busy).append(instance)
        for instance in busy:
            self.touch(instance)
        return sleepers

    def sweep(self) -> None:
        """Forget instances that have been idle for long."""
        limit = self._clock.monotonic() - self._idle
        idle = []
        for instance in self._instances.values():
            if instance.used > limit:
                break
            if sleeps(instance):
                idle.append(instance)
        for instance in idle:
            self.remove(instance)


def sleeps(instance: Instance) -> bool:
    """Whether an instance may leave memory: nothing of it is under way, and nothing waits for it that its code could
    take now and the store could not give again."""
    if instance.phase is not Phase.IDLE or instance.backlog:
        return False
    return not instance.inbox or (not runs_code(instance.state) and instance.is_stored())
