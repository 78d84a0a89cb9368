"""Slots for activities: how many this host may claim and start, by its limit and by what its workers can run now."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from perdure.model.commit_plan import WorkItem
from perdure.taskhub.interfaces import Executor
from perdure.taskhub.options import HubOptions
from perdure.taskhub.pace import Pace


class Kind:
    """Plain activities need a free thread each, coroutines do not.

    `names`: what is claimed when there is room for this kind. `claimed`: this host's, not started, each with the time
    since when. `reserved`: a commit or a claim is about to give so many to this host. `unclaimed`: there may be more in
    the store, by the latest `news`; `waits`: there is more.
    """

    __slots__ = ("claimed", "names", "news", "plain", "reserved", "unclaimed", "waits")

    def __init__(self, *, plain: bool) -> None:
        self.plain = plain
        self.names: tuple[str, ...] = ()
        self.clear()

    def clear(self) -> None:
        """Nothing is this host's, and everything may be in the store."""
        self.claimed: deque[tuple[float, WorkItem]] = deque()
        self.reserved = self.news = 0
        self.unclaimed, self.waits = True, False

    def learn(self, *, waits: bool = False) -> None:
        """There may be (`waits`: there is) something in the store that nobody has claimed."""
        self.unclaimed = True
        self.waits |= waits
        self.news += 1

    def answered(self, full: bool, news: int) -> None:
        """A claim got all that it asked for, or all that there was; `news`: what was known when it asked."""
        self.waits = full
        if full or self.news == news:
            self.unclaimed = full


class Free(NamedTuple):
    """How many activities could start now, and how many plain ones among them."""

    slots: int
    threads: int


class Slots:
    """The slots of one host."""

    def __init__(self, executor: Executor, options: HubOptions) -> None:
        self._executor = executor
        self.plain, self.coroutines = Kind(plain=True), Kind(plain=False)
        self.kinds = (self.plain, self.coroutines)
        self.pace = Pace()
        #: activities under way
        self.running = 0
        self.app_changed(options)

    def app_changed(self, options: HubOptions) -> None:
        """Which activities there are, and how many may run."""
        #: activities that may be under way
        self.limit = options.max_activities
        self._threadless = options.threadless
        activities = {name.lower() for name in options.names.get("activity", ())}
        # with a thread to spare, whatever comes first
        self.plain.names = (*sorted(activities - self._threadless), *sorted(self._threadless))
        self.coroutines.names = tuple(sorted(self._threadless))

    def begin(self) -> None:
        """Start with nothing under way."""
        self.running = 0
        for kind in self.kinds:
            kind.clear()

    def kind_of(self, item: WorkItem) -> Kind:
        """What an activity needs."""
        return self.coroutines if item.name.lower() in self._threadless else self.plain

    @property
    def is_waiting(self) -> bool:
        """Whether activities of this host have not started."""
        return bool(self.plain.claimed or self.coroutines.claimed)

    @property
    def is_incomplete(self) -> bool:
        """Whether the store may hold, or holds, activities that nobody has claimed."""
        plain, coroutines = self.kinds
        return plain.unclaimed or coroutines.unclaimed or plain.waits or coroutines.waits

    def free(self) -> Free:
        """What could start now."""
        room, threads = self._executor.activity_room()
        slots = max(0, min(self.limit - self.running, room))
        return Free(slots, min(slots, threads))

    def room(self, free: Free, trip: float) -> Free:
        """How many more may become this host's, the store taking `trip` seconds to give them."""
        ahead = self.pace.ahead(self.running + free.slots, trip)
        plain = self.plain.reserved + len(self.plain.claimed)
        coroutines = self.coroutines.reserved + len(self.coroutines.claimed)
        slots = free.slots - plain - coroutines + ahead
        threads = min(slots, free.threads - plain + ahead)
        return Free(max(0, slots), max(0, threads))

    def reserve(self, items: Iterable[WorkItem], count: int) -> None:
        """Keep a slot for each of these, or (`count` -1) no longer."""
        for item in items:
            self.kind_of(item).reserved += count

    def add(self, items: Iterable[WorkItem], since: float) -> None:
        """Activities became this host's."""
        for item in items:
            self.kind_of(item).claimed.append((since, item))

    def take(self, free: Free) -> tuple[list[WorkItem], Free]:
        """The activities that start now, in the order in which they came, and what is free beside them."""
        plain, coroutines = self.plain.claimed, self.coroutines.claimed
        slots, threads = free
        taken: list[WorkItem] = []
        while slots:
            if plain and threads and (not coroutines or plain[0][0] <= coroutines[0][0]):
                threads -= 1
                taken.append(plain.popleft()[1])
            elif coroutines:
                taken.append(coroutines.popleft()[1])
            else:
                break
            slots -= 1
        return taken, Free(slots, min(slots, threads))

    def claimed(self) -> list[WorkItem]:
        """All that is this host's and has not started."""
        return [item for kind in self.kinds for _, item in kind.claimed]

    def drop(self, n: int) -> None:
        """Forget what has not started of an instance."""
        for kind in self.kinds:
            kind.claimed = deque(entry for entry in kind.claimed if entry[1].n != n)

    def take_stalled(self, before: float) -> list[WorkItem]:
        """Claimed activities that have waited since `before` or longer."""
        stalled: list[WorkItem] = []
        for kind in self.kinds:
            while kind.claimed and kind.claimed[0][0] <= before:
                stalled.append(kind.claimed.popleft()[1])
        return stalled
