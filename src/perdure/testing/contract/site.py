"""A store under test, and hosts on it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from perdure.model.commit_plan import (
    ActivityResult,
    CommitAnswer,
    CommitBatch,
    CreationVerdict,
    Message,
    NewInstance,
    Release,
    TurnPlan,
    Verdict,
    WorkItem,
)
from perdure.model.history import (
    EventRaised,
    TaskCompleted,
    TimerFired,
)
from perdure.model.instance import InstanceFilter, InstanceKind, InstanceRecord, RuntimeStatus, instance_number
from perdure.storage.provider import HostRegistration, Loaded, Provider

APPLIED, FENCED, REFUSED = Verdict.APPLIED, Verdict.FENCED, Verdict.REFUSED
RUNNING, COMPLETED, FAILED = RuntimeStatus.RUNNING, RuntimeStatus.COMPLETED, RuntimeStatus.FAILED
SUSPENDED, TERMINATED, PENDING = RuntimeStatus.SUSPENDED, RuntimeStatus.TERMINATED, RuntimeStatus.PENDING
EVENT = EventRaised("go", '"now"')


class Site(Protocol):
    """One store with its clock, and as many connections to it as hosts are wanted."""

    def connect(self) -> Provider:
        """A provider of the same hub, as another host would have it."""

    def ask(self, provider: Provider, call: str, *arguments: Any) -> Any:
        """Make a call and wait for its answer."""

    def now(self) -> int:
        """The store's time in microseconds."""

    def advance(self, microseconds: int) -> None:
        """Let the store's time go on."""


class ContractHost:
    """A registered host: gives out numbers, numbers its commits."""

    def __init__(self, site: Site, names: dict[str, tuple[str, ...]] | None = None) -> None:
        self.site = site
        self.provider = site.connect()
        registered = self.ask("register", HostRegistration("http://localhost:7071", "host", names or {}))
        self.token: int = registered.token
        self.number = 0
        self._created = 0

    def ask(self, call: str, *arguments: Any) -> Any:
        return self.site.ask(self.provider, call, *arguments)

    def batch(self, **lists: Any) -> CommitBatch:
        self.number += 1
        return CommitBatch(self.token, self.number, **{name: tuple(items) for name, items in lists.items()})

    def commit(self, **lists: Any) -> CommitAnswer:
        answer = self.ask("commit", self.batch(**lists))
        assert isinstance(answer, CommitAnswer), answer
        return answer

    def new(self, instance_id: str, *, mine: bool = True, **more: Any) -> NewInstance:
        self._created += 1
        values = {"kind": InstanceKind.ORCHESTRATION, "name": "Chain", "created": self.site.now(), **more}
        owner = self.token if mine else 0
        return NewInstance(n=instance_number(self.token, self._created), instance_id=instance_id, owner=owner, **values)

    def create(self, instance_id: str, **more: Any) -> int:
        new = self.new(instance_id, **more)
        answer = self.commit(creations=[new])
        assert answer.creations == (CreationVerdict(APPLIED, new.n),)
        return new.n

    def running(self, instance_id: str, **more: Any) -> int:
        """An instance whose code has begun: turn 1 is stored."""
        n = self.create(instance_id)
        answer = self.commit(turns=[turn(n, 0, **more)])
        assert answer.turns[0].verdict is APPLIED
        return n

    def record(self, n: int) -> InstanceRecord:
        loaded = self.ask("claim", self.token, [n])
        assert len(loaded) == 1, "the instance is not this host's"
        record = loaded[0].record
        assert isinstance(record, InstanceRecord)
        return record

    def load(self, n: int) -> Loaded:
        (loaded,) = self.ask("claim", self.token, [n])
        assert isinstance(loaded, Loaded)
        return loaded

    def ready(self, limit: int = 100) -> list[int]:
        return [loaded.record.n for loaded in self.ask("claim_ready", self.token, limit)]

    def release(self, *numbers: int) -> None:
        self.commit(releases=[Release(n) for n in numbers])

    def find(self, *ids: str) -> list[InstanceRecord]:
        found = self.ask("find", list(ids))
        assert isinstance(found, list)
        return found

    def ids(self, filter: InstanceFilter, top: int = 100, continuation: str | None = None) -> list[str]:
        return [record.instance_id for record in self.ask("query", filter, top, continuation).items]


def turn(n: int, base: int, status: RuntimeStatus = RUNNING, **more: Any) -> TurnPlan:
    values = {"generation": 0, "updated": 1000 + base, "first_turn": 1, **more}
    return TurnPlan(n=n, base_turn=base, turn=base + 1, status=status, **values)


def work(n: int, task: int, owner: int = 0, **more: Any) -> WorkItem:
    return WorkItem(
        n, more.pop("generation", 0), task, more.pop("name", "Hello"), more.pop("input", "1"), owner, **more
    )


def result(n: int, task: int, owner: int, text: str = '"done"', generation: int = 0) -> ActivityResult:
    return ActivityResult(Message(n, TaskCompleted(task, text), generation, task), owner)


def timer(n: int, task: int, due: int) -> Message:
    return Message(n, TimerFired(task, due), 0, task, due)


class AskedWith:
    """A provider that is asked with more than what comes before the callback."""

    def __init__(self, provider: Provider, **more: Any) -> None:
        self._provider, self._more = provider, more

    def __getattr__(self, call: str) -> Callable[..., None]:
        return partial(getattr(self._provider, call), **self._more)


def kill(witness: ContractHost, victim: ContractHost) -> None:
    """Have `victim` declared dead."""
    beat = next(row.beat for row in witness.ask("hosts") if row.token == victim.token)
    assert witness.ask("declare_dead", victim.token, beat) is True
