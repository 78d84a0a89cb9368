"""What the simulation runs with entities: a ledger that many sign, accounts between which money moves under locks."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

from perdure.model.instance import entity_scheduler_id
from perdure.model.operations import (
    Done,
    EntityFound,
    Operation,
    PurgeInstance,
    ReadEntity,
    RefusalCode,
    Refused,
    SignalEntityOperation,
    TerminateInstance,
)
from perdure.sdk.types import EntityId
from perdure.testing.client_scripts import Client, Sender, Violation, completed, finished, repeat, start

# ---------------------------------------------------------------- entities


def ledger(context: Any) -> None:
    """Keeps all that was written, in order."""
    lines = context.get_state(list)
    if context.operation_name == "write":
        lines.append(context.get_input())
        context.set_state(lines)
    elif context.operation_name == "fail":
        raise ValueError("this operation fails")
    context.set_result(len(lines))


def account(context: Any) -> None:
    """A balance."""
    balance = context.get_state(lambda: 0)
    if context.operation_name == "add":
        balance += context.get_input()
        context.set_state(balance)
    context.set_result(balance)


ENTITIES = {"Ledger": ledger, "Account": account}


# ---------------------------------------------------------------- orchestrators


def writer(context: Any) -> Any:
    """Signals a ledger, with turns between, and at the end calls it."""
    key, count = context.get_input()
    book = EntityId("Ledger", key)
    for number in range(count):
        context.signal_entity(book, "write", [context.instance_id, number])
        if number % 2:
            yield context.call_activity("Echo", number)
        if number == 2:
            try:
                yield context.call_entity(book, "fail")
            except Exception as error:  # noqa: BLE001  the SDK raises plain exceptions for failed operations
                if "this operation fails" not in str(error):
                    return str(error)
    written = yield context.call_entity(book, "count")
    return written >= count


def opening(context: Any) -> Any:
    """Pays into new accounts."""
    names, amount = context.get_input()
    for name in names:
        yield context.call_entity(EntityId("Account", name), "add", amount)
    return True


def transfer(context: Any, told: Any) -> Any:
    """Moves money between two accounts, if there is enough, while nobody else can touch them."""
    source, target, amount = told
    accounts = [EntityId("Account", source), EntityId("Account", target)]
    with (yield context.lock_entities(accounts)):
        before = yield context.call_entity(accounts[0], "get")
        if before < amount:
            return False
        after = yield context.call_entity(accounts[0], "add", -amount)
        yield context.call_activity("Echo", input=amount)
        yield context.call_entity(accounts[1], "add", amount)
        return bool(after == before - amount)


def balances(context: Any) -> Any:
    """Reads accounts."""
    calls = [context.call_entity(EntityId("Account", name), "get") for name in context.get_input()]
    return (yield context.task_all(calls))


def holder(context: Any, names: Any) -> Any:
    """Locks accounts and goes to sleep for a day."""
    with (yield context.lock_entities([EntityId("Account", name) for name in names])):
        yield context.create_timer(timedelta(days=1))


def hasty(context: Any, told: Any) -> Any:
    """Gives up waiting for locks, continues as new while the request still travels, and locks again."""
    names, left, patience = told
    accounts = [EntityId("Account", name) for name in names]
    lock = context.lock_entities(accounts[left % 2 :])
    if left:
        winner = yield context.when_any([lock, context.create_timer(timedelta(seconds=patience))])
        if winner is not lock:
            context.continue_as_new([names, left - 1, patience])
            return None
    with (yield lock):
        before = yield context.call_entity(accounts[-1], "get")
        for amount in (1, -1, 1, -1):
            after = yield context.call_entity(accounts[-1], "add", amount)
            yield context.call_activity("Echo", input=amount)
    return bool(after == before)


ENTITY_ORCHESTRATORS: dict[str, Callable[..., Any]] = {
    "Writer": writer,
    "Opening": opening,
    "Transfer": transfer,
    "Balances": balances,
    "Holder": holder,
    "Hasty": hasty,
}


# ---------------------------------------------------------------- clients


def ledger_client(name: str, random: Random, sender: Sender) -> Client:
    """Everything that orchestrations and clients signal is written once, in the order of each."""
    writers = [f"{name}-writer-{number}" for number in range(3)]
    counts = [random.randint(1, 5) for _ in writers]
    book = entity_scheduler_id("Ledger", name)
    for one, count in zip(writers, counts, strict=True):
        yield from start("Writer", one, [name, count])
    wanted = [[one, number] for one, count in zip(writers, counts, strict=True) for number in range(count)]
    for number in range(3):
        answer = yield SignalEntityOperation(book, "write", json.dumps(["client", number]))
        if isinstance(answer, Done):
            wanted.append(["client", number])
    for one in writers:
        yield from completed(one, True, random)
    lines: list[Any] = []
    while not all(line in lines for line in wanted):
        yield random.uniform(1, 5)
        read = yield from repeat(ReadEntity(book))
        lines = json.loads(read.state) if isinstance(read, EntityFound) and read.state is not None else []
    if any(lines.count(line) > 1 for line in lines):
        raise Violation("messages take effect once", f"{name}: {lines}")
    for one in writers:
        if [line for line in lines if line[0] == one] != [line for line in wanted if line[0] == one]:
            raise Violation("order per sender", f"{name}: {lines}")


def bank_client(name: str, random: Random, sender: Sender) -> Client:
    """No money is made or lost."""
    names = [f"{name}-{letter}" for letter in "abc"]
    yield from start("Opening", f"{name}-opening", [names, 100])
    yield from completed(f"{name}-opening", True, random)
    for number in range(5):
        source, target = random.sample(names, 2)
        yield from start("Transfer", f"{name}-transfer-{number}", [source, target, random.randint(1, 20)])
    for number in range(5):
        yield from completed(f"{name}-transfer-{number}", True, random)
    yield from sum_of(name, names, 300, random)


def sum_of(name: str, accounts: list[str], total: int, random: Random) -> Any:
    """Read accounts by an orchestration and compare their sum."""
    yield from start("Balances", f"{name}-balances", accounts)
    record = yield from finished(f"{name}-balances", random)
    found = json.loads(record.output or "[]")
    if len(found) != len(accounts) or sum(found) != total:
        raise Violation("messages take effect once", f"{name}: {found} in place of {total} in all")


def locks_client(name: str, random: Random, sender: Sender) -> Client:
    """Locks end with whoever holds them or waits for them: terminated or purged, others can go on."""
    names = [f"{name}-{letter}" for letter in "ab"]
    yield from start("Opening", f"{name}-opening", [names, 10])
    yield from completed(f"{name}-opening", True, random)
    holders = [f"{name}-holder-{number}" for number in range(2)]
    settled = True
    for one in holders:
        settled = (yield from start("Holder", one, names)) and settled
        yield random.uniform(0, 5)
    random.shuffle(holders)
    for one in holders:
        ends: list[Operation] = [TerminateInstance(one, "enough"), PurgeInstance(one)]
        end = random.choice(ends) if settled else ends[0]
        while isinstance((yield end), Refused):
            yield 1.0
        yield from repeat(TerminateInstance(one, "enough"), (RefusalCode.GONE, RefusalCode.NOT_FOUND))
    yield from start("Transfer", f"{name}-transfer", [*names, 5])
    yield from completed(f"{name}-transfer", True, random)
    yield from sum_of(name, names, 20, random)


def hasty_client(name: str, random: Random, sender: Sender) -> Client:
    """Unlocks that overtake their requests end these and no other lock."""
    names = [f"{name}-{letter}" for letter in "ab"]
    yield from start("Opening", f"{name}-opening", [names, 50])
    yield from completed(f"{name}-opening", True, random)
    for number in range(3):
        told = [names, random.randint(1, 4), random.choice([0.001, 0.1, 1.0])]
        yield from start("Hasty", f"{name}-hasty-{number}", told)
    for number in range(2):
        yield from start("Transfer", f"{name}-transfer-{number}", [*random.sample(names, 2), 5])
    for number in range(3):
        yield from completed(f"{name}-hasty-{number}", True, random)
    for number in range(2):
        yield from completed(f"{name}-transfer-{number}", True, random)
    yield from sum_of(name, names, 100, random)


ENTITY_CLIENTS = {"ledger": ledger_client, "bank": bank_client, "locks": locks_client, "hasty": hasty_client}
