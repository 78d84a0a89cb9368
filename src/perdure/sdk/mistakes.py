"""Mistakes in orchestrator code that show when it runs, explained: what was found, where, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import FrameType
from typing import Any

from perdure.sdk.atomic_tasks import EventTask, TimerTask
from perdure.sdk.location import place, raising_module, raising_place
from perdure.sdk.tasks import TaskBase


class OrchestratorMistake(TypeError):
    """Orchestrator code did something that cannot work; the text says what, where and what to do."""


def yielded_no_task(value: Any, where: str, *, awaited: bool) -> OrchestratorMistake:
    """Orchestrator code yielded (or awaited) something that is no task."""
    verb = "awaited" if awaited else "yielded"
    return OrchestratorMistake(
        f"The orchestrator {verb} a non-task at {where}: {_shown(value)}. {_advice(value, awaited=awaited)}"
    )


def _shown(value: Any) -> str:
    if value is None:
        return "None"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 80 else text[:77] + '...'}"


def _advice(value: Any, *, awaited: bool) -> str:
    calls = "context.call_activity(...), context.create_timer(...), context.task_all([...]) and the like"
    if hasattr(value, "_asyncio_future_blocking"):
        return (
            "asyncio primitives (sleep, gather, futures, locks, queues) do not work in an orchestrator, "
            f"which must be able to replay: await {calls} instead"
        )
    if value is None and awaited:
        return f"asyncio.sleep(0) and the like do not work in an orchestrator: await only {calls}"
    if hasattr(value, "gi_frame"):
        return "A generator is run by `yield from`: write `yield from helper(context)`"
    if hasattr(value, "cr_frame"):
        name = getattr(value, "__name__", "function")
        return (
            f"A coroutine cannot be yielded: if {name} is an activity, do not call it but write "
            f"`yield context.call_activity({name}, input)`; else make the orchestrator `async def` and await it"
        )
    if isinstance(value, (list, tuple, set)) and any(isinstance(item, TaskBase) for item in value):
        return "To wait for several tasks, yield context.task_all([...]) or context.task_any([...])"
    if callable(value):
        return "A function is not called by yielding it: yield context.call_activity(function, input)"
    return f"Yield only tasks: what {calls} return. Plain values need no yield"


def foreign_task(task: TaskBase[Any], where: str) -> OrchestratorMistake:
    """A task of another instance (or of an earlier run) was yielded."""
    return OrchestratorMistake(
        f"The orchestrator waits at {where} for a task that another context made ({task.describe()}): tasks kept in "
        "globals or shared between instances can never complete here. Make the task with this orchestrator's context"
    )


def returned_task(task: TaskBase[Any], name: str) -> OrchestratorMistake:
    """Orchestrator code returned a task instead of its result."""
    return OrchestratorMistake(
        f"Orchestrator '{name}' returned the task of {task.describe()}, not its result: "
        f"write `return (yield {task.describe()})`, in async def `return await ...`"
    )


def async_generator(name: str, where: str) -> OrchestratorMistake:
    """The orchestrator is an `async def` with `yield` in it."""
    return OrchestratorMistake(
        f"Orchestrator '{name}' ({where}) is an async generator: use `yield` in a plain `def`, "
        "or `await` in an `async def`, not both"
    )


def wrong_arity(name: str, where: str, parameters: int) -> OrchestratorMistake:
    """The orchestrator function does not take one or two arguments."""
    return OrchestratorMistake(
        f"Orchestrator '{name}' ({where}) takes {parameters} required arguments: it is called with the context, "
        "or with the context and the input"
    )


def task_as_input(task: TaskBase[Any], call: str) -> OrchestratorMistake:
    """A task was passed where a value is needed: its `yield` was forgotten."""
    made = f", made at {place(*task._origin)}" if task._origin else ""
    return OrchestratorMistake(
        f"{call} got the task of {task.describe()} as input{made}, not its result: "
        f"write `yield {task.describe()}` first"
    )


def explain(error: BaseException, *, is_coroutine: bool) -> str:
    """What to add to the text of an error that orchestrator code raised; empty when it speaks for itself."""
    if isinstance(error, OrchestratorMistake):
        return ""
    if not isinstance(error, Exception):
        where = raising_place(error)
        return (
            f"{type(error).__name__} raised{f' at {where}' if where else ''}: an orchestrator ends by returning or by "
            "raising an Exception, never by SystemExit, KeyboardInterrupt or the like"
        )
    text = str(error)
    no_loop = isinstance(error, RuntimeError) and ("no running event loop" in text or "no current event loop" in text)
    if no_loop or raising_module(error).startswith("asyncio."):
        advice = "await context.create_timer(...), context.task_all([...]) and the like"
        return (
            f"at {raising_place(error)}: asyncio primitives do not work in an orchestrator, which must be able to "
            f"replay; use {advice if is_coroutine else advice.replace('await ', 'yield ')} instead"
        )
    if isinstance(error, TypeError) and text.startswith("the task of "):
        return f"at {raising_place(error)}"
    if isinstance(error, (TypeError, AttributeError)) and _TASK_AS_VALUE.search(text):
        word = "await" if is_coroutine else "yield"
        return f"at {raising_place(error)}: a task is not its result: write `{word}` before the call, or `{word} task`"
    return ""


#: what Python says of operators and attributes that tasks do not have
_TASK_AS_VALUE = re.compile(
    r"\b(ActivityTask|SubOrchestrationTask|EntityCallTask|EventTask|TimerTask|HttpTask|RetryAbleTask|WhenAllTask"
    r"|WhenAnyTask)\b"
)


def called_directly(name: str, caller: FrameType) -> str:
    """A warning about an activity function that orchestrator code calls by itself."""
    return (
        f"Activity function '{name}' is called directly at {place(caller.f_code, caller.f_lasti)}: it runs inside the "
        f"orchestrator, again on every replay, and nothing is recorded. Write `yield context.call_activity({name}, "
        "input)`"
    )


def never_yielded(tasks: Iterable[TaskBase[Any]], name: str) -> str:
    """A warning about calls whose tasks nobody ever waited for, which therefore never ran; empty when none matters.

    A timer or an event that nobody waited for is harmless.
    """
    lost = sorted((task for task in tasks if not isinstance(task, (TimerTask, EventTask))), key=TaskBase.describe)
    calls = [f"{task.describe()}{f' at {place(*task._origin)}' if task._origin else ''}" for task in lost]
    if not calls:
        return ""
    shown = "; ".join(calls[:5]) + (f"; and {len(calls) - 5} more" if len(calls) > 5 else "")
    return (
        f"Orchestrator '{name}' ended with calls that were never yielded and therefore never ran: {shown}. "
        "Write `yield` before the call (or pass the task to task_all or task_any and yield that)"
    )
