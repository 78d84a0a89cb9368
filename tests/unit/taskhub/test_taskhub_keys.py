"""Idempotency keys and purges in steps over the memory store, on a virtual clock, without a host."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.model.instance import InstanceFilter
from perdure.model.operations import (
    Done,
    Listed,
    ListInstances,
    Operation,
    OperationAnswer,
    Purged,
    PurgeInstances,
    RaiseEvent,
    RefusalCode,
    Refused,
    ResumeInstance,
    Started,
    StartInstance,
    SuspendInstance,
)
from perdure.storage.memory import MemoryDatabase, MemoryStore
from perdure.taskhub.client import HubClient
from perdure.taskhub.client_hub import ClientHub
from perdure.taskhub.idempotency import KIND, REMEMBERED, forget_expired
from perdure.taskhub.options import HubOptions
from perdure.testing.clock import VirtualClock, VirtualTime


class Wakes:
    def wake(self, token: int, n: int = 0) -> None:
        pass


class World:
    def __init__(self) -> None:
        self.time = VirtualTime()
        self.clock = VirtualClock(self.time)
        self.store = MemoryStore(MemoryDatabase(self.clock), self.clock)
        self.hub = ClientHub(self.store, self.clock, Wakes(), HubOptions(host_ttl=7200.0))
        self.client = HubClient(self.hub)
        self.hub.start(lambda failed: None)
        self.run(0.1)

    def run(self, seconds: float) -> None:
        self.time.advance(seconds)

    def ask(self, operation: Operation) -> Any:
        answers: list[OperationAnswer] = []
        self.client.call(operation, answers.append)
        self.run(0.5)
        return answers[0]

    def ids(self) -> list[str]:
        listed = self.ask(ListInstances(InstanceFilter()))
        assert isinstance(listed, Listed)
        return [record.instance_id for record in listed.items]


@pytest.fixture
def world() -> World:
    return World()


def keyed(input_: str | None = "1", name: str = "x", key: str = "k") -> StartInstance:
    return StartInstance(name, None, input_, idempotency_key=key)


def test_a_key_starts_once(world: World) -> None:
    first = world.ask(keyed())
    assert isinstance(first, Started)
    assert world.ask(keyed()) == first
    refused = world.ask(keyed("2"))
    assert isinstance(refused, Refused)
    assert "was used with another input" in refused.text
    assert world.ask(keyed(name="y")) != first
    assert len(world.ids()) == 2
    world.ask(PurgeInstances(InstanceFilter(), include_running=True))
    assert world.ask(keyed()) == first, "purged or not"
    assert world.ids() == []


def test_a_key_is_forgotten_after_a_day(world: World) -> None:
    first = world.ask(keyed())
    world.run(REMEMBERED / 1e6 - 10)
    assert world.ask(keyed()) == first
    world.run(20)
    assert world.ask(keyed()) != first
    world.run(REMEMBERED / 1e6 + 1)
    forgotten: list[int] = []
    forget_expired(world.store, world.hub.committer.time(), forgotten.append)
    world.run(1)
    assert forgotten == [1]


def test_a_start_that_died_is_completed_by_its_repetition(world: World) -> None:
    first = world.ask(keyed())
    rows: list[Any] = []
    world.store.list_settings(KIND, rows.append)
    world.run(0.1)
    ((key, text),) = rows[0]
    undone = text.replace('"created":true', '"created":false')
    world.store.put_setting(KIND, key, undone, text, lambda _: None)
    world.ask(PurgeInstances(InstanceFilter(), include_running=True))
    assert world.ask(keyed()) == first
    assert world.ids() == [first.instance_id]


def test_a_refused_start_leaves_no_key(world: World) -> None:
    world.ask(StartInstance("x", "one"))
    taken = StartInstance("x", "one", idempotency_key="k")
    assert isinstance(world.ask(taken), Refused)
    world.ask(PurgeInstances(InstanceFilter(), include_running=True))
    assert world.ask(taken) == Started("one")


def test_what_waits_counts_for_suspend_and_resume(world: World) -> None:
    """No host is up that could carry them out."""
    world.ask(StartInstance("x", "one"))
    for _ in range(2):
        assert isinstance(world.ask(ResumeInstance("one")), Refused)
        assert world.ask(SuspendInstance("one")) == Done()
        assert isinstance(world.ask(SuspendInstance("one")), Refused)
        assert world.ask(ResumeInstance("one")) == Done()


def test_a_resume_finds_the_suspend_behind_many_messages(world: World) -> None:
    world.ask(StartInstance("x", "one"))
    for number in range(600):
        world.client.call(RaiseEvent("one", "e", str(number)), lambda answer: None)
    world.ask(SuspendInstance("one"))
    assert world.ask(ResumeInstance("one")) == Done()
    refused = world.ask(ResumeInstance("one"))
    text = "Cannot resume the orchestration instance one because instance is in the Pending state."
    assert refused == Refused(RefusalCode.WRONG_STATE, text, "Pending")


def test_purge_in_steps(world: World) -> None:
    for number in range(450):
        world.client.call(StartInstance("x", f"i{number:03}"), lambda answer: None)
    world.run(1)
    total, continuation = 0, None
    for _ in range(9):
        step = PurgeInstances(InstanceFilter(), True, limit=200, continuation=continuation)
        answer = world.ask(step)
        assert isinstance(answer, Purged)
        assert answer.instances <= 200
        total, continuation = total + answer.instances, answer.continuation
        if continuation is None:
            break
    assert (total, world.ids()) == (450, [])
    assert isinstance(world.ask(PurgeInstances(InstanceFilter(), continuation="wrong")), Refused)
