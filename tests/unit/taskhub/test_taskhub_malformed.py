"""Operations that no hub can work with: refused before anything is done, by a text that names what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from perdure.model.instance import LONGEST_ID_BYTES, InstanceFilter
from perdure.model.operations import (
    CountInstances,
    CountWaiting,
    DeleteTaskHub,
    ListAudit,
    ListInstances,
    Operation,
    PurgeInstances,
    RefusalCode,
    Refused,
    SignalEntityOperation,
    Started,
    StartInstance,
)
from perdure.taskhub.malformed import malformed
from tests.unit.taskhub.scripted import Bench
from tests.unit.taskhub.test_taskhub_keys import World, keyed

HUGE = 2**64


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (StartInstance("x", start_at=2**60), "start_at is 1152921504606846976. Expected microseconds since 1970"),
        (SignalEntityOperation("@counter@a", "add", due=-(2**62)), "due is -4611686018427387904."),
        (ListInstances(InstanceFilter(), 0), "top is 0. Expected 1 to 1000."),
        (ListInstances(InstanceFilter(), HUGE), f"top is {HUGE}. Expected 1 to 1000."),
        (ListInstances(InstanceFilter(created_from=HUGE)), f"created_from is {HUGE}."),
        (CountInstances(InstanceFilter(created_to=-HUGE)), f"created_to is -{HUGE}."),
        (CountInstances(InstanceFilter(kinds=(2,))), "kinds holds 2. Expected 0 (orchestration), 1 (entity)."),
        (PurgeInstances(InstanceFilter(statuses=(1, 99))), "statuses holds 99. Expected 0 (Running), 1 (Completed)"),
        (PurgeInstances(InstanceFilter(statuses=(HUGE,))), f"statuses holds {HUGE}."),
        (CountWaiting((1, HUGE)), f"numbers holds {HUGE}."),
        (DeleteTaskHub(continuation="0x1"), "unknown continuation '0x1': pass on what the last answer gave"),
        (DeleteTaskHub(continuation="-5"), "unknown continuation '-5'"),
        (DeleteTaskHub(continuation="9" * 30), "unknown continuation '9999"),
        (ListAudit(top=-1), "top is -1. Expected 1 to 1000."),
        (ListAudit("i", HUGE), f"top is {HUGE}."),
    ],
)
def test_what_no_hub_can_work_with_is_refused_by_name(operation: Operation, text: str) -> None:
    answer = Bench({}).call(operation)
    assert isinstance(answer, Refused)
    assert (answer.code, answer.text.startswith(text)) == (RefusalCode.BAD_REQUEST, True), answer.text


def test_the_rest_is_not_looked_at() -> None:
    for operation in (StartInstance("x"), ListAudit(), DeleteTaskHub(continuation="12"), PurgeInstances(_everything())):
        assert malformed(operation) is None


def _everything() -> InstanceFilter:
    return InstanceFilter(created_from=-62_135_596_800_000_000, statuses=tuple(range(8)), kinds=(0, 1))


@pytest.mark.parametrize(
    "continuation", ["wrong", "[]", f'[{HUGE},0,"x"]', f'[1,{HUGE},"x"]', '[-1e99,0,"x"]', '[1,2,"\u00b2-1"]']
)
def test_where_a_purge_does_not_go_on(continuation: str) -> None:
    bench = Bench({})
    answer = bench.call(PurgeInstances(InstanceFilter(), limit=1, continuation=continuation))
    assert isinstance(answer, Refused)
    assert (answer.code, "unknown continuation" in answer.text) == (RefusalCode.BAD_REQUEST, True)


@pytest.mark.parametrize("key", ["a\0b", "\ud800", "k" * 256, "\n"])
@pytest.mark.parametrize("name", ["x", "f" * 6000, "f\0"])
def test_keys_are_stored_under_what_every_store_can_index(name: str, key: str) -> None:
    world = World()
    first = world.ask(keyed(name=name, key=key))
    assert isinstance(first, Started)
    assert world.ask(keyed(name=name, key=key)) == first
    assert world.ask(keyed(name=name + "f", key=key)) != first
    rows: list[Any] = []
    world.store.list_settings("idempotency", rows.append)
    world.run(0.1)
    for stored, _ in rows[0]:
        assert len(stored.encode()) < LONGEST_ID_BYTES
        assert "\0" not in stored


def test_a_plain_key_can_be_read_in_the_store() -> None:
    world = World()
    world.ask(keyed(name="Order", key="k"))
    rows: list[Any] = []
    world.store.list_settings("idempotency", rows.append)
    world.run(0.1)
    ((stored, text),) = rows[0]
    assert (stored, json.loads(text)["created"]) == ("order\nk", True)
