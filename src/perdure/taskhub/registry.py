"""How instances come into the memory of a host, and how messages reach them there."""

from __future__ import annotations

from collections.abc import Callable

from perdure.engine.entity_queue import EntityQueue
from perdure.engine.runtime_state import CONTROL, from_record, new_state
from perdure.model.commit_plan import Message, MessageVerdict, NewInstance
from perdure.model.instance import InstanceKind
from perdure.storage.provider import InboxRow, Loaded, StoreError
from perdure.taskhub.instance import INBOX_BOUND, Instance, Phase, Row
from perdure.taskhub.interfaces import Clock, Executor, Store, Wakes
from perdure.taskhub.options import HubOptions
from perdure.taskhub.timers import TimerWindow
from perdure.taskhub.warm import WarmInstances

#: how often a failed load is tried again, in seconds
_RETRY_SECONDS = 0.1
#: microseconds within which every host looks at the due times of the store
_SOON = 3_000_000
#: how soon an instance that moved on while it was read is read again, in seconds
_REFRESH_SECONDS = 0.01


class Registry:
    """Which instances are in memory, and how messages reach them.

    An instance that is not in memory but owned by this host costs nothing here: the first message for it loads it.
    """

    def __init__(
        self, store: Store, clock: Clock, executor: Executor, wakes: Wakes, timers: TimerWindow, options: HubOptions
    ) -> None:
        self._store, self._clock, self._executor, self._wakes = store, clock, executor, wakes
        self._timers = timers
        self.warm = WarmInstances(clock, options.max_warm, options.warm_idle)
        self._loading: dict[int, list[Row]] = {}
        self._wanted: list[int] = []
        self._looks: list[Callable[[], None]] = []
        self._looking = False
        #: no other host could have sent anything
        self.alone = True
        #: this host is to take nothing new
        self.full = False
        #: the instances are free to others: what comes for them is theirs to fetch
        self.leaving = False
        self._passed_on: set[int] = set()
        self._time: Callable[[], int] = lambda: 0
        self.token = 0
        #: tokens of the other hosts that are known to live
        self.live: frozenset[int] = frozenset()
        self.on_ready: Callable[[Instance], None] = lambda instance: None
        self.on_control: Callable[[Instance], None] = lambda instance: None

    def begin(self, token: int, time: Callable[[], int]) -> None:
        """Start empty under a token; `time` is the store's clock."""
        self.warm.clear()
        self._loading, self._wanted = {}, []
        self._looks, self._looking = [], False
        self.full, self.leaving, self._passed_on = False, False, set()
        self.token, self._time = token, time

    def get(self, n: int) -> Instance | None:
        """The warm instance with this number."""
        return self.warm.get(n)

    def has_room(self) -> bool:
        """Whether this host should own more instances; if not, new ones are left to who has room."""
        return not self.full and self.warm.has_room()

    def created(self, new: NewInstance) -> None:
        """This host created an instance and owns it."""
        instance = Instance(new_state(new))
        self._admit(instance)

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
        instance = self.warm.get(verdict.n)
        row = Row(verdict.seq, message.event, message.generation, message.task, message.due)
        if verdict.owner == self.token:
            if instance is not None:
                if verdict.seq not in instance.loaded:
                    instance.add_timer(row)
            elif verdict.n in self._loading:
                self._loading[verdict.n].append(row)
        if verdict.owner not in self.live:
            self._timers.add(message.due, verdict.seq, verdict.n)
        elif message.due <= self._time() + _SOON:
            # its owner may not look at due times before that
            self._wakes.wake(verdict.owner, verdict.n)

    def deliver(self, n: int, row: Row, owner: int, *, ahead: bool = False) -> None:
        """Bring a durable message to instance `n`, whose row named `owner` when it was committed.

        Owned by this host then, nobody else can have consumed it since. In any other case it goes with the claim that
        makes this host the owner: what that does not find, another host has consumed.
        """
        if self.leaving:
            self.pass_on(n)
            return
        instance = self.warm.get(n)
        if owner == self.token:
            if instance is not None:
                self._deliver_warm(instance, row, ahead)
                return
            self.load(n)
            # a claim may be under way that read the inbox before this message was there
            self._loading[n].append(row)
        elif instance is None and n not in self._loading:
            if owner:
                self._wakes.wake(owner, n)
            if owner not in self.live:
                # nobody's, or of a host that is gone: whose claim comes first has it
                self.pass_on(n) if self.full else self.load(n)

    def pass_on(self, n: int) -> None:
        """Something came for an instance that this host gave up: let another have it. Once for each, as two hosts that
        leave would tell one another for ever."""
        if n not in self._passed_on:
            self._passed_on.add(n)
            self._wakes.wake(0, n)

    def _deliver_warm(self, instance: Instance, row: Row, ahead: bool) -> None:
        if instance.late is not None:
            instance.late.append(row)
            return
        if row.seq in instance.loaded or (instance.more_after and not isinstance(row.event, CONTROL)):
            return
        if self._is_full(instance) and not ahead and not isinstance(row.event, CONTROL):
            instance.more_after = max((r.seq for r in instance.inbox), default=0)
            return
        instance.add(row, ahead=ahead)
        if instance.phase is Phase.IDLE:
            self.on_ready(instance)
        elif instance.phase is Phase.RUNNING and isinstance(row.event, CONTROL):
            self.on_control(instance)

    @staticmethod
    def _is_full(instance: Instance) -> bool:
        """Whether further messages are left to the store. What waits behind a lock stays in memory: the message that
        ends the lock is among those to come."""
        if len(instance.inbox) < INBOX_BOUND:
            return False
        return instance.phase is not Phase.IDLE or instance.state.kind is not InstanceKind.ENTITY

    def timer_due(self, seq: int, n: int) -> None:
        """The time of a message that was held back has come."""
        instance = self.warm.get(n)
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
        if n in self.warm or n in self._loading:
            return
        self._loading[n] = []
        if not self._wanted:
            self._clock.soon(self._claim)
        self._wanted.append(n)

    def refresh(self, n: int) -> None:
        """Another host sent something to this instance: load it, or what a warm one does not know."""
        if n in self.warm:
            self._refresh([n], _nothing)
        else:
            self.load(n)

    def arrived(self, n: int) -> None:
        """Something was committed for this instance, of which neither its number nor the owner is known here."""
        if self.leaving or not self.token:
            self.pass_on(n)
            return
        self.refresh(n)
        self._wakes.wake(0, n)

    def _claim(self) -> None:
        wanted, self._wanted = self._wanted, []
        token = self.token

        def claimed(answer: list[Loaded] | StoreError) -> None:
            if token != self.token:
                return
            if isinstance(answer, StoreError):
                self._clock.later(_RETRY_SECONDS, lambda: self._claim_again(token, wanted))
                return
            kept = {loaded.record.n for loaded in answer}
            for n in wanted:
                if n not in kept:
                    self._loading.pop(n, None)
            self.adopt_all(answer)

        self._store.claim(token, wanted, claimed)

    def _claim_again(self, token: int, wanted: list[int]) -> None:
        if token == self.token:
            if not self._wanted:
                self._clock.soon(self._claim)
            self._wanted += wanted

    def adopt_all(self, claimed: list[Loaded]) -> None:
        """Instances were claimed and loaded. What another host ran before may have sent messages to instances here:
        these are fetched first, so that they come before what it sends from here (invariant 6)."""
        if self.alone or not claimed:
            for loaded in claimed:
                self.adopt(loaded)
        else:
            self.look(lambda: self.adopt_all_now(claimed))

    def adopt_all_now(self, claimed: list[Loaded]) -> None:
        """Adopt without looking around."""
        for loaded in claimed:
            self.adopt(loaded)

    def adopt(self, loaded: Loaded) -> None:
        """An instance was claimed and loaded: keep it, with everything that waits for it."""
        n = loaded.record.n
        late = self._loading.pop(n, [])
        if n in self.warm:
            return
        instance = Instance(from_record(loaded.record))
        rows = [Row(row.seq, row.event, row.generation, row.task, row.due) for row in loaded.inbox]
        instance.loaded.update(row.seq for row in rows)
        last = max(instance.loaded, default=0)
        late = [row for row in late if row.seq not in instance.loaded and (not loaded.more or row.seq < last)]
        instance.more_after = last if loaded.more else 0
        self._take_in(instance, rows + sorted(late, key=lambda row: row.seq))
        self._admit(instance)

    def _take_in(self, instance: Instance, rows: list[Row]) -> None:
        """Add rows, given in their order; those that are not yet due are held back."""
        now = self._time()
        for row in rows:
            if row.due > now:
                instance.add_timer(row)
                self._timers.add(row.due, row.seq, instance.state.n)
        instance.merge([row for row in rows if row.due <= now])

    # -- messages that other hosts sent

    def look(self, then: Callable[[], None] | None = None) -> None:
        """Fetch messages that other hosts sent to instances of this one; call `then` when they are in memory."""
        if not self.token:
            return
        self._looks.append(then or _nothing)
        if not self._looking:
            self._looking = True
            self._look()

    def _look(self) -> None:
        looks, self._looks = self._looks, []
        token = self.token

        def looked() -> None:
            self._looking = bool(self._looks)
            if self._looking:
                self._look()
            for then in looks:
                then()

        def listed(answer: list[tuple[int, int]] | StoreError) -> None:
            if token != self.token:
                return
            if isinstance(answer, StoreError):
                self._clock.later(_RETRY_SECONDS, lambda: self._look_again(token, looks))
            else:
                self._refresh(self._unknown(answer), looked)

        self._store.waiting(token, listed)

    def _look_again(self, token: int, looks: list[Callable[[], None]]) -> None:
        if token == self.token:
            self._looks = looks + self._looks
            self._look()

    def _unknown(self, waiting: list[tuple[int, int]]) -> list[int]:
        """Warm instances that do not know all that waits for them; others are loaded."""
        known: dict[int, set[int]] = {}
        unknown: dict[int, None] = {}
        for n, seq in waiting:
            instance = self.warm.get(n)
            if instance is None:
                self.load(n)
            elif seq and not instance.more_after:
                if n not in known:
                    known[n] = instance.known()
                if seq not in known[n]:
                    unknown[n] = None
        return list(unknown)

    def _refresh(self, numbers: list[int], then: Callable[[], None]) -> None:
        """Read these warm instances again, and merge what they did not know."""
        if not numbers:
            then()
            return
        token = self.token

        def read(answer: list[Loaded] | StoreError) -> None:
            if token != self.token:
                return
            if isinstance(answer, StoreError):
                again = numbers
            else:
                again = [loaded.record.n for loaded in answer if not self._merge(loaded)]
            if again:
                self._clock.later(_REFRESH_SECONDS, lambda: self._refresh_again(token, again, then))
            else:
                then()

        self._store.claim(token, numbers, read)

    def _refresh_again(self, token: int, numbers: list[int], then: Callable[[], None]) -> None:
        if token == self.token:
            self._refresh(numbers, then)

    def _merge(self, loaded: Loaded) -> bool:
        """Add the rows that a warm instance does not know. Only a reading of the very turn it stands at can tell: in
        an older one, rows are left that a turn has consumed since, in a newer one that turn is about to be told."""
        instance = self.warm.get(loaded.record.n)
        if instance is None:
            self.load(loaded.record.n)
            return True
        if loaded.record.turn != instance.state.turn:
            return False
        known = instance.known()
        rows = [Row(r.seq, r.event, r.generation, r.task, r.due) for r in loaded.inbox if r.seq not in known]
        instance.loaded.update(row.seq for row in rows)
        self._take_in(instance, rows)
        if rows and instance.phase is Phase.IDLE:
            self.on_ready(instance)
        elif instance.phase is Phase.RUNNING and any(isinstance(row.event, CONTROL) for row in rows):
            self.on_control(instance)
        return True

    def read_more(self, instance: Instance) -> None:
        """Read the next window of an inbox that was too long for memory. What comes meanwhile goes behind it."""
        if instance.late is None:
            instance.late = []
            self._read_window(instance, instance.more_after)

    def _read_window(self, instance: Instance, after: int) -> None:
        n, turn, token = instance.state.n, instance.state.turn, self.token

        def read(answer: list[InboxRow] | StoreError) -> None:
            if token != self.token or self.warm.get(n) is not instance:
                return
            if isinstance(answer, StoreError):
                self._clock.later(_RETRY_SECONDS, lambda: self._read_again(token, instance, after))
            elif instance.state.turn != turn:
                self._read_window(instance, after)  # rows that a turn has consumed since would come back
            else:
                self._read_in(instance, answer)

        self._store.read_inbox(n, after, read)

    def _read_again(self, token: int, instance: Instance, after: int) -> None:
        if token == self.token and self.warm.get(instance.state.n) is instance:
            self._read_window(instance, after)

    def _read_in(self, instance: Instance, window: list[InboxRow]) -> None:
        """Add a window, and what came while it was read unless a later window brings it."""
        late, instance.late = instance.late or [], None
        last = instance.more_after = window[-1].seq if window else 0
        if instance.loaded_at != instance.state.turn:
            # a commit of this instance has been answered since, and with it all that came before
            instance.loaded_at, instance.loaded = instance.state.turn, set()
        held = instance.inbox if isinstance(instance.inbox, EntityQueue) else instance.known()
        taken = {row.seq for row in instance.taken}
        rows = {
            r.seq: Row(r.seq, r.event, r.generation, r.task, r.due)
            for r in window
            if r.seq not in held and r.seq not in instance.timers and r.seq not in taken
        }
        instance.loaded.update(rows)
        late = [r for r in late if r.seq not in held and (not window or r.seq < last or isinstance(r.event, CONTROL))]
        rows.update((row.seq, row) for row in late if row.seq not in rows)
        self._take_in(instance, [rows[seq] for seq in sorted(rows)])
        if instance.phase is Phase.IDLE:
            self.on_ready(instance)

    def _admit(self, instance: Instance) -> None:
        """Keep an instance, and let it do what waits for it before somebody has to leave."""
        self.warm.add(instance)
        self.on_ready(instance)
        self.warm.make_room()

    def forget(self, instance: Instance) -> None:
        """Drop an instance from memory; it stays owned, and its session may stay."""
        self.warm.remove(instance)

    def abandon(self, instance: Instance) -> None:
        """Drop an instance whose state in memory can no longer be trusted, with its session."""
        self.forget(instance)
        instance.ticket += 1
        self._executor.drop_session(instance.state.n)


def _nothing() -> None:
    """Nobody waits for this."""
