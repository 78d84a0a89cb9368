"""One commit at a time: gathers what is decided, hands it to the store, and tells everybody the verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from perdure.model.commit_plan import (
    ActivityResult,
    Attempt,
    Audit,
    CommitAnswer,
    CommitBatch,
    CreationVerdict,
    Message,
    MessageVerdict,
    NewInstance,
    Parking,
    Purge,
    Release,
    TurnPlan,
    TurnVerdict,
    Verdict,
    WorkChunk,
    WorkReturn,
)
from perdure.storage.provider import StoreError
from perdure.taskhub.interfaces import Clock, Store
from perdure.taskhub.options import HubOptions
from perdure.taskhub.telemetry import Telemetry

#: fields of a batch in the order in which verdicts are told; those without verdicts last
_JUDGED = ("turns", "chunks", "creations", "messages", "results", "parkings", "purges")
_UNJUDGED = ("returns", "attempts", "releases", "audits")
#: an item that is two of a batch: a purge, and the new instance that takes the place of what goes
_REPLACEMENT = "replacement"
_RETRY_SECONDS = 0.05
_RETRY_LONGEST = 2.0
_ATTEMPT_SECONDS = 0.5
#: what clients ask for: it is answered also when the token is lost, while turns and activities end with their token
_ASKED = frozenset({"creations", "messages", "purges"})
#: what a commit takes as long as nobody knows, in seconds, and how much each counts in the mean
_LATENCY, _WEIGHT = 0.005, 1 / 8
#: the part of the TTL that a host stays away from being declared dead
_MARGIN = 1 / 9

Item = tuple[str, Any, Callable[[Any], None]]


class Committer:
    """Group commit of one host.

    What is added is committed in the order of addition, as many items together as the bounds allow, one commit under
    way at a time. A lost answer is asked for until the store tells it; a commit that fails for another reason is
    halved until the culprit is alone, whose `done` then gets the `StoreError`.
    """

    def __init__(self, store: Store, clock: Clock, options: HubOptions, telemetry: Telemetry) -> None:
        self._store, self._clock, self._options, self._telemetry = store, clock, options, telemetry
        self._waiting: list[Item] = []
        self._split: list[list[Item]] = []
        self._flying: list[Item] | None = None
        self._scheduled = False
        self._number = 0
        self._offset = clock.now() - int(clock.monotonic() * 1e6)
        self._asked = 0.0
        self._retry = _RETRY_SECONDS
        self._attempts: list[Item] = []
        self._attempts_timer = False
        self._idle: list[Callable[[], None]] = []
        self._epoch = 0
        self.token = 0
        #: seconds that the latest commits took, in the mean
        self.latency = _LATENCY
        self._beaten = 0.0
        self.on_dead: Callable[[], None] = lambda: None

    def begin(self, token: int, store_time: int) -> None:
        """Start under a new token; whatever waited for the old one is gone."""
        self._give_up()
        self.token, self._number, self._scheduled = token, 0, False
        self._offset = 0
        self.observe_time(store_time, self._clock.monotonic())
        self._beaten = self._clock.monotonic()

    def stop(self) -> None:
        """Nothing is committed any more. What clients wait for is an error."""
        self._give_up()
        self.token = 0

    def _give_up(self) -> None:
        self._epoch += 1
        left = [*(self._flying or ()), *(item for part in self._split for item in part), *self._waiting]
        self._waiting, self._split, self._attempts, self._flying = [], [], [], None
        for field, _, done in left:
            if field in _ASKED:
                self._refuse(done)

    def _refuse(self, done: Callable[[Any], None]) -> None:
        error = StoreError("this host gave up its place in the task hub: it stops, or others took it for dead")
        self._clock.soon(lambda: done(error))

    def observe_time(self, store_time: int, asked: float) -> None:
        """Take the store's clock as the time that counts. An answer asked for at `asked` (monotonic seconds) bounds how
        far the two are apart; within the bounds nothing moves. This host's own clock is not looked at: it may be wrong,
        and it may be set."""
        now = self._clock.monotonic()
        self._offset = min(max(self._offset, store_time - int(now * 1e6)), store_time - int(asked * 1e6))

    def succeeded(self, asked: float) -> None:
        """The store raised this host's beat when it was asked at `asked` (monotonic seconds)."""
        self._beaten = max(self._beaten, asked)

    def is_current(self) -> bool:
        """Whether no other host can have declared this one dead yet: they wait for the TTL (design 8)."""
        return self._clock.monotonic() - self._beaten < self._options.host_ttl * (1 - _MARGIN)

    def time(self) -> int:
        """The store's time, in microseconds, as well as this host can tell."""
        return int(self._clock.monotonic() * 1e6) + self._offset

    def when_idle(self, call: Callable[[], None]) -> None:
        """Call once nothing waits and no commit is under way."""
        self._write_attempts()
        if self._flying is None and not self._waiting and not self._split:
            self._clock.soon(call)
        else:
            self._idle.append(call)

    def turn(self, plan: TurnPlan, done: Callable[[TurnVerdict | StoreError], None]) -> None:
        """Commit a turn."""
        self._add("turns", plan, done)

    def chunk(self, chunk: WorkChunk, done: Callable[[Verdict | StoreError], None]) -> None:
        """Commit the next work rows of a large turn."""
        self._add("chunks", chunk, done)

    def create(self, new: NewInstance, done: Callable[[CreationVerdict | StoreError], None]) -> None:
        """Commit a new instance that no turn asked for."""
        self._add("creations", new, done)

    def send(self, message: Message, done: Callable[[MessageVerdict | StoreError], None]) -> None:
        """Commit a message that no turn sent."""
        self._add("messages", message, done)

    def result(self, result: ActivityResult, done: Callable[[MessageVerdict | StoreError], None]) -> None:
        """Commit an activity's result as an inbox row."""
        self._add("results", result, done)

    def park(self, parking: Parking, done: Callable[[Verdict | StoreError], None]) -> None:
        """Commit that an instance is parked, or no longer."""
        self._add("parkings", parking, done)

    def purge(self, purge: Purge, done: Callable[[Verdict | StoreError], None]) -> None:
        """Commit that an instance is deleted."""
        self._add("purges", purge, done)

    def replace(
        self,
        purge: Purge,
        new: NewInstance,
        done: Callable[[tuple[Verdict, CreationVerdict] | StoreError], None],
    ) -> None:
        """Commit that an instance is deleted and, in the same commit, that another is created."""
        self._add(_REPLACEMENT, (purge, new), done)

    def record(self, audit: Audit, done: Callable[[StoreError | None], None]) -> None:
        """Commit that a management operation was carried out."""
        self._add("audits", audit, done)

    def give_back(self, item: WorkReturn, done: Callable[[StoreError | None], None]) -> None:
        """Commit that a claim on an activity is given back."""
        self._add("returns", item, done)

    def attempt(self, attempt: Attempt) -> None:
        """Record a run of an activity with the next commit; it causes one only when none comes for a while."""
        self._attempts.append(("attempts", attempt, _ignore))
        if not self._attempts_timer:
            self._attempts_timer = True
            self._clock.later(_ATTEMPT_SECONDS, self._write_attempts)

    def _write_attempts(self) -> None:
        self._attempts_timer = False
        if self._attempts and self.token:
            self._waiting += self._attempts
            self._attempts = []
            self._schedule()

    def release(self, release: Release, done: Callable[[StoreError | None], None]) -> None:
        """Commit that this host no longer owns an instance."""
        self._add("releases", release, done)

    def _add(self, field: str, item: object, done: Callable[[Any], None]) -> None:
        if not self.token and field in _ASKED:
            self._refuse(done)
            return
        self._waiting.append((field, item, done))
        if not self._scheduled and self._flying is None:
            self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and self._flying is None and self.token:
            self._scheduled = True
            self._clock.soon(self._form)

    def _form(self) -> None:
        self._scheduled = False
        if self._flying is not None or not self.token:
            return
        items = self._split.pop() if self._split else self._next_items()
        if items:
            if self._attempts and not self._split:
                items += self._attempts
                self._attempts = []
            self._number += 1
            self._submit(items)
        elif not self._waiting:
            idle, self._idle = self._idle, []
            for call in idle:
                call()

    def _next_items(self) -> list[Item]:
        waiting = self._waiting
        if len(waiting) <= 64 and not any(field == "turns" and len(item.work) > 64 for field, item, _ in waiting):
            self._waiting = []
            return waiting
        items = chars = end = 0
        for field, item, _ in waiting:
            items += _weight(field, item)
            chars += _size(field, item)
            end += 1
            if items >= self._options.commit_items or chars >= self._options.commit_chars:
                break
        self._waiting = waiting[end:]
        return waiting[:end]

    def _submit(self, items: list[Item]) -> None:
        self._flying = items
        fields: dict[str, list[Any]] = {}
        for field, item, _ in items:
            if field == _REPLACEMENT:
                fields.setdefault("purges", []).append(item[0])
                fields.setdefault("creations", []).append(item[1])
            else:
                fields.setdefault(field, []).append(item)
        batch = CommitBatch(self.token, self._number, **{field: tuple(values) for field, values in fields.items()})
        epoch, started = self._epoch, self._clock.monotonic()
        self._asked = started

        def answered(answer: CommitAnswer | StoreError) -> None:
            if epoch == self._epoch:
                self._answered(batch, answer, started)

        self._store.commit(batch, answered)

    def _answered(self, batch: CommitBatch, answer: CommitAnswer | StoreError, started: float) -> None:
        if isinstance(answer, StoreError):
            self._telemetry.store_failed(str(answer))
            if answer.lost:
                self._ask_again(batch, started)
            else:
                self._halve(answer)
            return
        self._retry = _RETRY_SECONDS
        if not answer.alive:
            self.on_dead()
            return
        self.observe_time(answer.time, self._asked)
        self.succeeded(started)
        took = self._clock.monotonic() - started
        self.latency += (took - self.latency) * _WEIGHT
        self._telemetry.committed(batch, took)
        items, self._flying = self._flying or [], None
        verdicts = {field: iter(getattr(answer, field)) for field in _JUDGED}
        for field, _, done in items:
            if field == _REPLACEMENT:
                done((next(verdicts["purges"]), next(verdicts["creations"])))
            else:
                judged = verdicts.get(field)
                done(next(judged) if judged is not None else None)
        if self._waiting or self._split or self._idle:
            self._schedule()

    def _ask_again(self, batch: CommitBatch, started: float) -> None:
        """The connection broke: learn what became of the commit, and repeat it under its number if nothing did."""
        epoch = self._epoch

        def recorded(answer: CommitAnswer | StoreError | None) -> None:
            if epoch != self._epoch:
                return
            if answer is None:
                self._submit(self._flying or [])
            elif isinstance(answer, StoreError):
                self._ask_again(batch, started)
            else:
                self._answered(batch, answer, started)

        def ask() -> None:
            if epoch == self._epoch:
                self._store.recorded(batch.token, batch.number, recorded)

        self._clock.later(self._retry, ask)
        self._retry = min(self._retry * 2, _RETRY_LONGEST)

    def _halve(self, error: StoreError) -> None:
        items, self._flying = self._flying or [], None
        if len(items) == 1:
            items[0][2](error)
        else:
            middle = len(items) // 2
            self._split += [items[middle:], items[:middle]]
        self._schedule()


def _ignore(_: object) -> None:
    """Nobody waits for this verdict."""


def _weight(field: str, item: Any) -> int:
    if field == "turns":
        return 1 + len(item.work) + len(item.messages) + len(item.creations)
    return 1 + len(item.work) if field == "chunks" else 1


def _size(field: str, item: Any) -> int:
    if field == "turns":
        return len(item.history or b"") + sum(len(w.input or "") for w in item.work)
    if field == _REPLACEMENT:
        field, item = "creations", item[1]
    if field == "creations":
        return len(item.input or "")
    if field == "results":
        item = item.message
    if field in ("messages", "results"):
        event = item.event
        return len(getattr(event, "result", None) or getattr(event, "input", None) or "")
    return 0
