"""What the simulation runs: orchestrators, activities, and the clients that start, disturb and check them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

from perdure.model.execution import ActivityCompleted, ActivityFailed, ActivityOutcome, ActivityRequest
from perdure.model.failure import FailureDetails
from perdure.model.instance import InstanceRecord, RuntimeStatus
from perdure.model.operations import (
    Done,
    GetInstance,
    Operation,
    Purged,
    PurgeInstance,
    RaiseEvent,
    RefusalCode,
    Refused,
    ResumeInstance,
    Started,
    StartInstance,
    SuspendInstance,
    TerminateInstance,
)
from perdure.testing.client_scripts import (
    Client,
    Sender,
    Violation,
    check_received,
    completed,
    ended_by,
    finished,
    repeat,
    start,
)
from perdure.testing.entity_workloads import ENTITY_CLIENTS, ENTITY_ORCHESTRATORS
from perdure.testing.program import Step, broken, events_of, expected, program, random_program

# ---------------------------------------------------------------- orchestrators


def chain(context: Any) -> Any:
    """Function chaining."""
    value = context.get_input()
    for _ in range(3):
        value = yield context.call_activity("Echo", value)
    return value


def fan_out(context: Any) -> Any:
    """Fan-out and fan-in, results in order."""
    return (yield context.task_all([context.call_activity("Echo", k) for k in range(context.get_input())]))


def eternal(context: Any) -> Any:
    """Ticks with a timer, goes on as new, and leaves an activity of each generation behind."""
    told = context.get_input()
    tick = yield context.call_activity("Echo", told["tick"])
    if tick != 3 * told["tick"] + 1:
        return f"tick {told['tick']} got the result {tick} of another generation"
    if told["tick"] == told["last"]:
        return told["tick"]
    both = [context.call_activity("Slow", -told["tick"]), context.call_activity("Echo", told["tick"])]
    yield context.task_any(both)
    yield context.create_timer(context.current_utc_datetime + timedelta(seconds=0.1))
    context.continue_as_new({"tick": told["tick"] + 1, "last": told["last"]})
    return None


def approval(context: Any) -> Any:
    """Human interaction with a timeout that is a day away."""
    timeout = context.create_timer(context.current_utc_datetime + timedelta(days=1))
    answer = context.wait_for_external_event("approve")
    winner = yield context.task_any([answer, timeout])
    if winner is answer:
        timeout.cancel()
        return answer.result
    return "timeout"


def collector(context: Any) -> Any:
    """Collects events in order, over generations, until it has those that another event says it needs."""
    told = context.get_input() or {"got": [], "need": None}
    for _ in range(2):
        if told["need"] is not None and all(item in told["got"] for item in told["need"]):
            return told["got"]
        item = yield context.wait_for_external_event("item")
        if isinstance(item, list):
            told["need"] = item
        else:
            told["got"].append(item)
    context.continue_as_new(told)
    return None


def parent(context: Any) -> Any:
    """Children with ids of their own and with derived ones."""
    count, prefix = context.get_input()
    named = [context.call_sub_orchestrator("Chain", k, f"{prefix}-child-{k}") for k in range(count)]
    derived = [context.call_sub_orchestrator("Chain", k) for k in range(count)]
    return (yield context.task_all([*named, *derived]))


def rival(context: Any) -> Any:
    """Starts a child under an id that others want, too: refused while another's child runs."""
    name = context.get_input()
    try:
        result = yield context.call_sub_orchestrator("Napping", 7, name)
    except Exception as error:  # noqa: BLE001  the SDK raises plain exceptions for failed tasks
        return "refused" if "already exists" in str(error) else str(error)
    return result


def napping(context: Any) -> Any:
    """Sleeps a little and gives its input."""
    yield context.create_timer(context.current_utc_datetime + timedelta(seconds=3))
    return context.get_input()


ORCHESTRATORS: dict[str, Callable[..., Any]] = {
    "Program": program,
    "Broken": broken,
    "Chain": chain,
    "FanOut": fan_out,
    "Eternal": eternal,
    "Approval": approval,
    "Collector": collector,
    "Parent": parent,
    "Rival": rival,
    "Napping": napping,
    **ENTITY_ORCHESTRATORS,
}


# ---------------------------------------------------------------- activities


def run_activity(request: ActivityRequest, now: int) -> ActivityOutcome:
    """All activities of the workloads: what they give depends on input and attempt alone."""
    value: Any = json.loads(request.input) if request.input is not None else None
    key = (request.n, request.generation, request.task)
    name = request.name.lower()
    if name == "fail" or (name == "flaky" and request.attempt <= value[1]):
        k = value[0] if isinstance(value, list) else value
        failure = FailureDetails("ValueError", f"boom {k}")
        reason = f"Activity function '{request.name}' failed:  ValueError: boom {k}"
        return ActivityFailed(*key, reason, None, failure, now, now, "worker")
    if name == "flaky":
        value = value[0]
    result = len(value) if name == "length" else 3 * value + 1
    return ActivityCompleted(*key, json.dumps(result), now, now, "worker")


ACTIVITIES = ("Echo", "Slow", "Fail", "Flaky", "Length")


# ---------------------------------------------------------------- clients


def chain_client(name: str, random: Random, sender: Sender) -> Client:
    yield from start("Chain", name, 1)
    yield from completed(name, 40, random)


def fan_out_client(name: str, random: Random, sender: Sender) -> Client:
    count = random.choice([3, 30])
    yield from start("FanOut", name, count)
    yield from completed(name, [3 * k + 1 for k in range(count)], random)


def eternal_client(name: str, random: Random, sender: Sender) -> Client:
    last = random.randint(2, 8)
    yield from start("Eternal", name, {"tick": 1, "last": last})
    yield from completed(name, last, random)


def approval_client(name: str, random: Random, sender: Sender) -> Client:
    yield from start("Approval", name, None)
    yield random.uniform(0, 30)
    yield from repeat(RaiseEvent(name, "approve", '"yes"'), (RefusalCode.GONE,))
    yield from completed(name, "yes", random)


def parent_client(name: str, random: Random, sender: Sender) -> Client:
    count = random.randint(1, 3)
    yield from start("Parent", name, [count, name])
    yield from completed(name, [27 * k + 13 for k in range(count)] * 2, random)


def rivals_client(name: str, random: Random, sender: Sender) -> Client:
    """Several parents want the same child: each gets its result or is told that the id is taken."""
    rivals = [f"{name}-{number}" for number in range(3)]
    for one in rivals:
        yield from start("Rival", one, f"{name}-child")
        yield random.choice([0.0, 5.0])
    for one in rivals:
        record: InstanceRecord = yield from finished(one, random)
        if record.output not in ("7", '"refused"'):
            raise Violation("right output", f"{one} ended {record.status.label} with {record.output}")


def program_client(name: str, random: Random, sender: Sender) -> Client:
    return run_program(random_program(random), name, random)


def run_program(steps: list[Step], name: str, random: Random) -> Client:
    """Run a program, raise the events that it waits for in any order, check its output."""
    yield from start("Program", name, {"steps": steps, "done": []})
    events = list(events_of(steps))
    random.shuffle(events)
    for event, value in events:
        yield random.uniform(0, 5)
        yield from repeat(RaiseEvent(name, event, json.dumps(value)), (RefusalCode.GONE,))
    yield from completed(name, expected(steps), random)


def singleton_client(name: str, random: Random, sender: Sender) -> Client:
    """The same id again and again: each start over the finished one is a new instance."""
    yield from start("Chain", name, 0)
    yield from completed(name, 13, random)
    for turn in range(1, random.randint(2, 4)):
        answer = yield StartInstance("Chain", name, json.dumps(turn))
        if not isinstance(answer, Started):
            return  # it may still come, and then replace whatever has finished under the id
        record: InstanceRecord = yield from finished(name, random)
        if record.input != json.dumps(turn):
            raise Violation("acknowledged means durable", f"{name} has the input {record.input} of an earlier start")
        yield from completed(name, 27 * turn + 13, random)


def collector_client(name: str, random: Random, sender: Sender) -> Client:
    """Events in order: those acknowledged arrive once, in the order sent; those unanswered at most once."""
    yield from start("Collector", name, None)
    through: dict[int, str] = {}
    for item in range(random.randint(3, 15)):
        answer = yield RaiseEvent(name, "item", json.dumps(item))
        if isinstance(answer, Done):
            through[item] = sender.name
        elif isinstance(answer, Refused) and answer.code is not RefusalCode.UNAVAILABLE:
            raise Violation("right answer", f"event to {name}: {answer}")
        yield random.choice([0.0, 0.0, 2.0])
    enough = RaiseEvent(name, "item", json.dumps(list(through)))
    record: InstanceRecord = yield from ended_by(name, [enough], random)
    got = json.loads(record.output or "null")
    if record.status is not RuntimeStatus.COMPLETED or not isinstance(got, list):
        raise Violation("right output", f"{name} ended {record.status.label} with {record.output}")
    if len(set(got)) != len(got):
        raise Violation("messages take effect once", f"{name} got {got}")
    check_received(name, got, through)


def suspend_client(name: str, random: Random, sender: Sender) -> Client:
    """Suspended instances stand still and then go on with everything that waited."""
    yield from start("Collector", name, None)
    refusals = (RefusalCode.GONE, RefusalCode.WRONG_STATE)
    through: dict[int, str] = {}
    for item in range(3):
        yield from repeat(SuspendInstance(name, "wait"), refusals)
        if isinstance((yield RaiseEvent(name, "item", json.dumps(item))), Done):
            through[item] = sender.name
        yield random.uniform(0, 5)
        yield from repeat(ResumeInstance(name, "go on"), refusals)
    # a suspension that was not answered may come late
    last: list[Operation] = [ResumeInstance(name, "go on"), RaiseEvent(name, "item", json.dumps(list(through)))]
    record: InstanceRecord = yield from ended_by(name, last, random)
    got = json.loads(record.output or "null")
    if record.status is not RuntimeStatus.COMPLETED or not isinstance(got, list):
        raise Violation("right output", f"{name} ended {record.status.label} with {record.output}")
    check_received(name, got, through)


def terminate_client(name: str, random: Random, sender: Sender) -> Client:
    """Terminated instances end, children too, and leave nothing that runs."""
    kind, value = random.choice([("Approval", None), ("Eternal", {"tick": 1, "last": 500}), ("Parent", [2, name])])
    yield from start(kind, name, value)
    yield random.uniform(0, 20)
    yield from repeat(TerminateInstance(name, "enough"), (RefusalCode.GONE,))
    record: InstanceRecord = yield from finished(name, random)
    if record.status not in (RuntimeStatus.TERMINATED, RuntimeStatus.COMPLETED):
        raise Violation("right output", f"{name} ended {record.status.label} with {record.output}")
    if kind != "Parent" and record.status is not RuntimeStatus.TERMINATED:
        raise Violation("acknowledged means durable", f"the termination of {name} was forgotten")


def purge_client(name: str, random: Random, sender: Sender) -> Client:
    """A purged instance is gone, and its id is free."""
    settled = yield from start("Chain", name, 5)
    yield from completed(name, 148, random)
    if not settled:
        return
    answer = yield PurgeInstance(name)
    if answer is None or isinstance(answer, Refused):
        return  # it may still come, and then meet whatever has the id
    if not isinstance(answer, Purged) or answer.instances != 1:
        raise Violation("right answer", f"purge of {name}: {answer}")
    answer = yield from repeat(GetInstance(name), (RefusalCode.NOT_FOUND,))
    if not isinstance(answer, Refused):
        raise Violation("acknowledged means durable", f"{name} was purged and is found: {answer}")
    yield from start("Chain", name, 6)
    yield from completed(name, 175, random)


CLIENTS: dict[str, Callable[[str, Random, Sender], Client]] = {
    "chain": chain_client,
    "fan-out": fan_out_client,
    "eternal": eternal_client,
    "approval": approval_client,
    "parent": parent_client,
    "rivals": rivals_client,
    "program": program_client,
    "singleton": singleton_client,
    "collector": collector_client,
    "suspend": suspend_client,
    "terminate": terminate_client,
    "purge": purge_client,
    **ENTITY_CLIENTS,
}
