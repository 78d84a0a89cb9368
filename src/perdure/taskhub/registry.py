"""The warm instances of a host: loading, delivery, eviction."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from perdure.engine.runtime_state import CONTROL, from_record, new_state
from perdure.model.commit_plan import Message, MessageVerdict, NewInstance
from perdure.storage.provider import Loaded, StoreError
from perdure.taskhub.instance import INBOX_BOUND, Instance, Phase, Row
from perdure.taskhub.interfaces import Clock, Executor, Store, Wakes
from perdure.taskhub.options import HubOptions
from perdure.taskhub.timers import TimerWindow

#: how often a failed load is tried again, in seconds
_RETRY_SECONDS = 0.1
#: rows that a store reads of an inbox at once
_WINDOW = 1000
#: instances looked at for one that may leave memory
_LOOK_AT = 32


class Registry:
    """Which instances are in memory, and how messages reach them.

    An instance that is not in memory but owned by this host costs nothing here: the first message for it loads it.
    """

    def __init__(
        self, store: Store, clock: Clock, executor: Executor, wakes: Wakes, timers: TimerWindow, options: HubOptions
    ) -> None:
        self._store, self._clock, self._executor, self._wakes = store, clock, executor, wakes
        self._timers, self._options = timers, options
        self._warm: dict[int, Instance] = {}
        self._loading: dict[int, list[Row]] = {}
        self._wanted: list[int] = []
        self._time: Callable[[], int] = lambda: 0
        self.token = 0
        self.on_ready: Callable[[Instance], None] = lambda instance: None
        self.on_control: Callable[[Instance], None] = lambda instance: None

    def begin(self, token: int, time: Callable[[], int]) -> None:
        """Start empty under a token; `time` is the store's clock."""
        self._warm, self._loading, self._wanted = {}, {}, []
        self.token, self._time = token, time

    def __len__(self) -> int:
        return len(self._warm)

    def get(self, n: int) -> Instance | None:
        """The warm instance with this number."""
        return self._warm.get(n)

    def warm(self) -> list[Instance]:
        """All warm instances, least recently used first."""
        return list(self._warm.values())

    def has_room(self) -> bool:
        """Whether this host should own more instances; if not, new ones are left to who has room."""
        return len(self._warm) < self._options.max_warm

    def touch(self, instance: Instance) -> None:
        """The instance is in use now."""
        n = instance.state.n
        instance.used = self._clock.monotonic()
        if self._warm.pop(n, None) is not None:
            self._warm[n] = instance

    def created(self, new: NewInstance) -> None:
        """This host created an instance and owns it."""
        instance = Instance(new_state(new))
        self._keep(instance)
        self.on_ready(instance)

    def message_committed(self, message: Message, verdict: MessageVerdict) -> None:
        """A message is durable: hand it to its instance, here or on the host that owns it."""
        if not verdict.seq:
            return
        if message.due > self._time() and message.due:
            self._hold_back(message, verdict)
            return
        row = Row(verdict.seq, message.event, message.generation, message.task, message.due)
        self.deliver(verdict.n, row, verdict.owner, ahead=message.ahead)

    def _hold_back(self, message: Message, verdict: MessageVerdict) -> None:
        instance = self._warm.get(verdict.n)
        row = Row(verdict.seq, message.event, message.generation, message.task, message.due)
        if instance is not None:
            instance.add_timer(row)
        elif verdict.n in self._loading:
            self._loading[verdict.n].append(row)
        if verdict.owner in (self.token, 0):
            self._timers.add(message.due, verdict.seq, verdict.n)

    def deliver(self, n: int, row: Row, owner: int, *, ahead: bool = False) -> None:
        """Bring a durable message to instance `n`, whose row names `owner`."""
        instance = self._warm.get(n)
        if instance is not None:
            self._deliver_warm(instance, row, ahead)
        elif n in self._loading:
            self._loading[n].append(row)
        elif owner in (self.token, 0):
            self.load(n)
        else:
            self._wakes.wake(owner, n)

    def _deliver_warm(self, instance: Instance, row: Row, ahead: bool) -> None:
        if instance.more_after:
            return
        if len(instance.inbox) >= INBOX_BOUND and not ahead and not isinstance(row.event, CONTROL):
            instance.more_after = max((r.seq for r in instance.inbox), default=0)
            return
        instance.add(row, ahead=ahead)
        if instance.phase is Phase.IDLE:
            self.on_ready(instance)
        elif instance.phase is Phase.RUNNING and isinstance(row.event, CONTROL):
            self.on_control(instance)

    def timer_due(self, seq: int, n: int) -> None:
        """The time of a message that was held back has come."""
        instance = self._warm.get(n)
        if instance is None:
            self.load(n)
            return
        row = instance.drop_timer(seq)
        if row is not None:
            instance.add(row)
            if instance.phase is Phase.IDLE:
                self.on_ready(instance)

    def load(self, n: int) -> None:
        """Own and load an instance unless it is warm; what arrives meanwhile is merged in."""
        if n not in self._warm:
            self.refresh(n)

    def refresh(self, n: int) -> None:
        """Load an instance, or what came to a warm one from other hosts."""
        if n in self._loading:
            return
        self._loading[n] = []
        if not self._wanted:
            self._clock.soon(self._claim)
        self._wanted.append(n)

    def _claim(self) -> None:
        wanted, self._wanted = self._wanted, []
        token = self.token

        def claimed(answer: list[Loaded] | StoreError) -> None:
            if token != self.token:
                return
            if isinstance(answer, StoreError):
                self._clock.later(_RETRY_SECONDS, lambda: self._claim_again(token, wanted))
                return
            for loaded in answer:
                self.adopt(loaded)
            for n in wanted:
                self._loading.pop(n, None)

        self._store.claim(token, wanted, claimed)

    def _claim_again(self, token: int, wanted: list[int]) -> None:
        if token == self.token:
            if not self._wanted:
                self._clock.soon(self._claim)
            self._wanted += wanted

    def adopt(self, loaded: Loaded) -> None:
        """An instance was claimed and loaded: keep it, with everything that waits for it."""
        n = loaded.record.n
        arrived = self._loading.pop(n, [])
        warm = self._warm.get(n)
        instance = warm or Instance(from_record(loaded.record))
        known = instance.known() if warm is not None else frozenset()
        if instance.more_after:
            return
        rows = {
            row.seq: Row(row.seq, row.event, row.generation, row.task, row.due)
            for row in loaded.inbox
            if row.seq not in known
        }
        last = max((row.seq for row in loaded.inbox), default=0)
        for row in arrived:
            if (not loaded.more or row.seq < last) and row.seq not in known:
                rows.setdefault(row.seq, row)
        instance.more_after = last if loaded.more else 0
        self._put(instance, rows.values())
        if warm is None:
            self._keep(instance)
        if instance.phase is Phase.IDLE:
            self.on_ready(instance)

    def _put(self, instance: Instance, rows: Iterable[Row]) -> None:
        """Add messages from the store in their order; those that are not due are held back."""
        now = self._time()
        for row in sorted(rows, key=lambda row: row.seq):
            if row.due > now:
                instance.add_timer(row)
                self._timers.add(row.due, row.seq, instance.state.n)
            else:
                instance.add(row)

    def read_more(self, instance: Instance) -> None:
        """Read the rest of an inbox that was too long for one window."""
        after, n, token = instance.more_after, instance.state.n, self.token
        instance.more_after = 0

        def read(answer: object) -> None:
            if token != self.token or self._warm.get(n) is not instance:
                return
            if isinstance(answer, StoreError):
                instance.more_after = after
                self._clock.later(_RETRY_SECONDS, lambda: self.read_more(instance))
                return
            assert isinstance(answer, list)
            if len(answer) >= _WINDOW:
                instance.more_after = answer[-1].seq
            known = instance.known()
            self._put(
                instance, (Row(r.seq, r.event, r.generation, r.task, r.due) for r in answer if r.seq not in known)
            )
            if instance.phase is Phase.IDLE:
                self.on_ready(instance)

        self._store.read_inbox(n, after, read)

    def _keep(self, instance: Instance) -> None:
        instance.used = self._clock.monotonic()
        self._warm[instance.state.n] = instance
        if len(self._warm) > self._options.max_warm:
            self._evict_some(len(self._warm) - self._options.max_warm)

    def _evict_some(self, count: int) -> None:
        victims = []
        for instance in islice(self._warm.values(), count + _LOOK_AT):
            if instance.phase is Phase.IDLE and not instance.inbox and not instance.backlog:
                victims.append(instance)
                if len(victims) >= count:
                    break
        for instance in victims:
            self.forget(instance)

    def sweep(self) -> None:
        """Forget instances that have been idle for long."""
        limit = self._clock.monotonic() - self._options.warm_idle
        for instance in list(self._warm.values()):
            if instance.used > limit:
                break
            if instance.phase is Phase.IDLE and not instance.inbox and not instance.backlog:
                self.forget(instance)

    def forget(self, instance: Instance) -> None:
        """Drop an instance from memory; it stays owned, and its session may stay."""
        self._warm.pop(instance.state.n, None)

    def abandon(self, instance: Instance) -> None:
        """Drop an instance whose state in memory can no longer be trusted, with its session."""
        self.forget(instance)
        instance.ticket += 1
        self._executor.drop_session(instance.state.n)
