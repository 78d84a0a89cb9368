"""How simulated clients talk to a hub: generators that yield operations and get the answers.

The answer is None when it never came (the operation may then have taken effect or not). A number that is yielded is
slept, in seconds. What a client finds wrong it raises as `Violation`.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from random import Random
from typing import Any, Union

from perdure.model.instance import InstanceRecord, RuntimeStatus
from perdure.model.operations import (
    ExistingPolicy,
    Found,
    GetInstance,
    Operation,
    OperationAnswer,
    RefusalCode,
    Refused,
    Started,
    StartInstance,
)

Client = Generator[Union[Operation, float], "OperationAnswer | None", None]
Asking = Generator[Union[Operation, float], "OperationAnswer | None", Any]


class Sender:
    """Through which host a client's last operation went: order holds among what one host sends."""

    name = ""


class Violation(AssertionError):
    """An invariant does not hold; `name` says which."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name


def start(name: str, instance_id: str, value: Any) -> Asking:
    """Start under an id that is free until acknowledged. An id in use after a start that failed is that start.

    Returns whether no start failed; one that did may still come, and find the id free after a purge.
    """
    unsure = False
    operation = StartInstance(name, instance_id, json.dumps(value), policy=ExistingPolicy.FAIL_IF_EXISTS)
    while True:
        answer = yield operation
        if isinstance(answer, Started):
            return not unsure
        if isinstance(answer, Refused) and answer.code is RefusalCode.EXISTS:
            if unsure:
                return False
            raise Violation("acknowledged means durable", f"the new id {instance_id} was refused: {answer.text}")
        if isinstance(answer, Refused) and answer.code is not RefusalCode.UNAVAILABLE:
            raise Violation("right answer", f"start of {name}: {answer}")
        # none, or that the host could not tell what became of it
        unsure = True
        yield 1.0


def repeat(operation: Operation, accepted: tuple[RefusalCode, ...] = ()) -> Asking:
    """Ask until there is an answer that counts. Returns it."""
    while True:
        answer = yield operation
        if isinstance(answer, Refused):
            if answer.code in accepted:
                return answer
            if answer.code is not RefusalCode.UNAVAILABLE:
                raise Violation("right answer", f"{operation} was refused: {answer}")
        elif answer is not None:
            return answer
        yield 1.0


def finished(instance_id: str, random: Random) -> Asking:
    """Ask for the status until the instance has ended; its record. An acknowledged start never gets lost."""
    while True:
        answer = yield from repeat(GetInstance(instance_id), (RefusalCode.NOT_FOUND,))
        if isinstance(answer, Refused):
            raise Violation("acknowledged means durable", f"{instance_id} was started and is not found")
        if not isinstance(answer, Found):
            raise Violation("right answer", f"status of {instance_id}: {answer}")
        record = answer.record
        if record.parked is not None:
            raise Violation("replay equals live", f"{instance_id} is parked: {record.parked}")
        if record.status.is_terminal:
            return record
        yield random.uniform(1, 10)


def completed(instance_id: str, value: Any, random: Random) -> Asking:
    """Wait for the right output."""
    record: InstanceRecord = yield from finished(instance_id, random)
    output = json.loads(record.output) if record.output is not None else None
    if record.status is not RuntimeStatus.COMPLETED or output != value:
        raise Violation(
            "right output", f"{instance_id} ended {record.status.label} with {record.output}, expected {value}"
        )


def ended_by(name: str, operations: list[Operation], random: Random) -> Asking:
    """Ask for these operations again and again until the instance has ended; its record."""
    while True:
        answer = yield from repeat(GetInstance(name), (RefusalCode.NOT_FOUND,))
        if isinstance(answer, Found) and answer.record.status.is_terminal:
            return answer.record
        if isinstance(answer, Refused):
            raise Violation("acknowledged means durable", f"{name} was started and is not found")
        yield random.uniform(1, 10)
        for operation in operations:
            _ = yield operation


def check_received(name: str, got: list[Any], through: dict[int, str]) -> None:
    """`through`: acknowledged events in the order sent, and the host that sent each."""
    missing = [item for item in through if item not in got]
    if missing:
        raise Violation("acknowledged means durable", f"{name} got {got} without {missing}")
    for host in set(through.values()):
        sent = [item for item in through if through[item] == host]
        if [item for item in got if item in sent] != sent:
            raise Violation("order per sender", f"{name} got {got}, {host} sent {sent}")
