"""Random orchestrations as data: one orchestrator interprets them, one plain function says what must come out.

A program is a JSON value. Steps are lists: a verb and its arguments.

==================================  =================================================================
``["act", k]``                      an activity; gives ``3 * k + 1``
``["fail", k]``                     an activity that always fails; gives ``"failed"``
``["retry", k, failures, n]``       an activity that fails the first times, tried up to n times
``["timer", s]``                    sleeps; gives ``True`` unless it woke early
``["event", name, value]``          waits for an external event that a client raises with this value
``["all", [steps]]``                together; gives the list of results
``["any", [k, ...]]``               activities, one of which goes on first; then all; gives the list
``["race", s, k]``                  an activity against a timer of s seconds that is cancelled
``["sub", steps]``                  a child program
``["broken", k]``                   a child that fails; gives ``"failed"``
``["guid"]``                        the length of a new id, measured by an activity
``["status", k]``                   sets the custom status
``["again"]``                       goes on in a new generation (at top level only)
==================================  =================================================================
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from datetime import timedelta
from random import Random
from typing import Any

from perdure.sdk.types import RetryOptions

Step = list[Any]
Steps = Generator[Any, Any, Any]

_TOGETHER = ("act", "retry", "timer")


def expected(steps: list[Step]) -> list[Any]:
    """What `Program` gives for these steps: the direct interpretation."""
    return [value for step in steps if step[0] != "again" for value in [_expected(step)]]


def _expected(step: Step) -> Any:
    verb, arguments = step[0], step[1:]
    if verb == "act":
        return 3 * arguments[0] + 1
    if verb == "retry":
        k, failures, attempts = arguments
        return 3 * k + 1 if failures < attempts else "failed"
    if verb == "event":
        return arguments[1]
    if verb == "all":
        return [_expected(child) for child in arguments[0]]
    if verb == "any":
        return [3 * k + 1 for k in arguments[0]]
    if verb == "race":
        return 3 * arguments[1] + 1
    if verb == "sub":
        return expected(arguments[0])
    return {"fail": "failed", "broken": "failed", "timer": True, "guid": 36, "status": None}[verb]


def events_of(steps: list[Step]) -> Iterator[tuple[str, Any]]:
    """The events that the programs wait for, outside children."""
    for step in steps:
        if step[0] == "event":
            yield step[1], step[2]
        elif step[0] == "all":
            yield from events_of(step[1])


def program(context: Any) -> Steps:
    """The orchestrator `Program`. Input: ``{"steps": [...], "done": [results of earlier generations]}``."""
    told = context.get_input()
    done = told["done"]
    for position, step in enumerate(told["steps"]):
        if step[0] == "again":
            context.continue_as_new({"steps": told["steps"][position + 1 :], "done": done})
            return None
        result = yield from _run(context, step)
        done.append(result)
    return done


def broken(context: Any) -> Steps:
    """The orchestrator `Broken`: does something, then raises."""
    yield context.call_activity("Echo", context.get_input())
    raise ValueError(f"broken {context.get_input()}")


def _run(context: Any, step: Step) -> Steps:
    verb, arguments = step[0], step[1:]
    if verb == "status":
        context.set_custom_status({"step": arguments[0]})
        return None
    if verb == "guid":
        return (yield context.call_activity("Length", str(context.new_uuid())))
    if verb == "any":
        tasks = [context.call_activity("Echo", k) for k in arguments[0]]
        winner = yield context.task_any(tasks)
        rest = yield context.task_all(tasks)
        return rest if winner in tasks else "the winner is none of them"
    if verb == "race":
        timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=arguments[0]))
        work = context.call_activity("Echo", arguments[1])
        winner = yield context.task_any([work, timer])
        if not timer.is_completed:
            timer.cancel()
        return winner.result if winner is work else "the timer won"
    if verb == "broken":
        return (yield from _caught(context.call_sub_orchestrator("Broken", arguments[0]), f"broken {arguments[0]}"))
    if verb in ("fail", "retry"):
        return (yield from _caught(_task(context, step)[0], f"boom {arguments[0]}"))
    task, finish = _task(context, step)
    value = yield task
    return finish(value)


def _caught(task: Any, text: str) -> Steps:
    try:
        return (yield task)
    except Exception as error:  # noqa: BLE001  the SDK raises plain exceptions for failed tasks
        return "failed" if text in str(error) else f"failed otherwise: {error}"


def _task(context: Any, step: Step) -> tuple[Any, Any]:
    """The task of a step, and what makes the step's result of the task's."""
    verb, arguments = step[0], step[1:]
    if verb == "act":
        return context.call_activity("Echo", arguments[0]), _same
    if verb == "fail":
        return context.call_activity("Fail", arguments[0]), _same
    if verb == "retry":
        k, failures, attempts = arguments
        options = RetryOptions(1000, attempts)
        return context.call_activity_with_retry("Flaky", options, [k, failures]), _same
    if verb == "timer":
        fire_at = context.current_utc_datetime + timedelta(seconds=arguments[0])
        return context.create_timer(fire_at), lambda _: context.current_utc_datetime >= fire_at
    if verb == "event":
        return context.wait_for_external_event(arguments[0]), _same
    if verb == "sub":
        return context.call_sub_orchestrator("Program", {"steps": arguments[0], "done": []}), _same
    tasks = [_task(context, child) for child in arguments[0]]
    return context.task_all([task for task, _ in tasks]), lambda values: _each(tasks, values)


def _each(tasks: list[tuple[Any, Any]], values: list[Any] | None) -> list[Any]:
    # the published answer of an empty task_all is None
    return [finish(value) for (_, finish), value in zip(tasks, values or [], strict=True)]


def _same(value: Any) -> Any:
    return value


def random_program(random: Random, *, events: bool = True, depth: int = 2) -> list[Step]:
    """Some steps. Event names are distinct, so that order among them does not matter."""
    steps = [_random_step(random, events, depth) for _ in range(random.randint(1, 5))]
    if depth == 2 and random.random() < 0.3:
        steps.insert(random.randrange(len(steps) + 1), ["again"])
    return steps


def _random_step(random: Random, events: bool, depth: int) -> Step:
    verbs = ["act", "act", "fail", "retry", "timer", "any", "race", "broken", "guid", "status"]
    verbs += ["event"] * events + ["all", "all", "sub"] * (depth > 0)
    return _step(random, random.choice(verbs), events, depth)


def _step(random: Random, verb: str, events: bool, depth: int) -> Step:
    k = random.randrange(1000)
    if verb == "retry":
        attempts = random.randint(1, 3)
        return ["retry", k, random.randint(0, attempts), attempts]
    if verb == "timer":
        return ["timer", random.choice([0, 1, 2, 10])]
    if verb == "event":
        return ["event", f"e{random.randrange(1_000_000)}", k]
    if verb == "any":
        return ["any", [random.randrange(1000) for _ in range(random.randint(1, 3))]]
    if verb == "race":
        return ["race", 86400, k]
    if verb == "sub":
        return ["sub", random_program(random, events=False, depth=depth - 1)]
    if verb == "all":
        together = [*_TOGETHER, *["event"] * events, *["sub", "all"] * (depth > 1)]
        children = [_step(random, random.choice(together), events, depth - 1) for _ in range(random.randint(0, 4))]
        return ["all", [_succeeding(child) for child in children]]
    return ["guid"] if verb == "guid" else [verb, k]


def _succeeding(step: Step) -> Step:
    """A child of `task_all` must not fail: which of several failures is thrown would depend on the order."""
    return ["retry", step[1], 0, step[3]] if step[0] == "retry" and step[2] == step[3] else step
