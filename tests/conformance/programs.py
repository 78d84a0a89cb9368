"""Random orchestrators as Python source: every call of the 1.x context, nested in each other.

A program keeps a trace of everything that its code sees; both sides must have seen the same after every turn. `leaf`
constructs are calls, `CONTAINERS` hold others. What a program contains is counted in its `pairs`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

LEAVES = (
    "activity",
    "activity_retry",
    "child",
    "child_retry",
    "timer",
    "event",
    "entity",
    "http",
    "again",
    "status",
    "signal",
    "uuid",
    "clock",
    "cancel",
    "unyielded",
    "input",
)
#: those that are no task and therefore no part of task_all or task_any
STATEMENTS = frozenset({"status", "signal", "uuid", "clock", "cancel", "unyielded", "input"})
COMPOUNDS = ("all", "any")
BLOCKS = ("try", "loop", "helper", "catch_all")
CONTAINERS = COMPOUNDS + BLOCKS
CONSTRUCTS = LEAVES + CONTAINERS
#: every container with everything that it can hold
PAIRS = [
    (outer, inner)
    for outer in CONTAINERS
    for inner in CONSTRUCTS
    if outer in BLOCKS or (inner not in STATEMENTS and inner not in BLOCKS)
]

PRELUDE = """\
def orchestrator(context):
    trace, tasks, timers, used, older = [], [], [], [], [0]

    def made(task):
        tasks.append(task)
        return task

    def timed(task):
        timers.append(task)
        return made(task)

    def show(value):
        used.clear()
        older[0] = len(tasks)
        if hasattr(value, "is_completed"):
            place = [i for i, task in enumerate(tasks) if task is value]
            return ["task", place, value.is_completed, show(value.result)]
        if isinstance(value, BaseException):
            return ["error", type(value) is not TypeError, str(value)]
        if isinstance(value, (list, tuple)):
            return [show(item) for item in value]
        return value

    def free(task):
        # a task that no unfinished compound waits for: with two parents the published executor forgets the first
        parent = task.parent
        if hasattr(task, "children"):
            # a failed task_all turns successful there when its other children succeed: only task_any is used again
            return task.is_completed and hasattr(task.result, "is_completed")
        if task.is_completed or parent is None or parent.is_completed:
            return not getattr(task, "is_cancelled", False)
        return False

    def again(number):
        # the published executor raises when a complete task is listed twice in one compound
        known = [task for task in tasks[: older[0]] if free(task) and all(task is not other for other in used)]
        if not known:
            return made(context.call_activity("Again", number))
        used.append(known[number % len(known)])
        return used[-1]

    def cancel(number):
        open_timers = [t for t in timers if free(t) and not t.is_completed]
        if open_timers:
            open_timers[number % len(open_timers)].cancel()
            trace.append("cancelled")

"""


class Program:
    """One orchestrator. `early` are event names that one wait at most asks for, so that they may be raised early."""

    def __init__(self, random: Random, wanted: list[tuple[str, str]]) -> None:
        self.random = random
        self.pairs: list[tuple[str, str]] = []
        self.early: list[str] = []
        self.events: list[str] = []
        self._counter = 0
        self._loops = 0
        self.body: list[str] = []
        for outer, inner in wanted:
            self._statement(self.body, 1, outer, [inner], depth=0)
        self._ending()
        self.source = PRELUDE + "\n".join(self.body) + "\n    return trace\n    yield\n"

    def _number(self) -> int:
        self._counter += 1
        return self._counter

    def _some(self, allowed: Callable[[str], bool], depth: int) -> str:
        choices = [c for c in CONSTRUCTS if allowed(c) and (depth < 2 or c not in CONTAINERS)]
        return self.random.choice(choices)

    # -- expressions: tasks

    def _expression(self, kind: str, forced: list[str], depth: int) -> str:
        if kind in COMPOUNDS:
            held = list(forced)
            if kind == "any" and self.random.random() < 0.3:
                held.append("timer")  # the usual race, whose loser is cancelled
            while len(held) < self.random.randint(1, 3):
                held.append(self._some(lambda c: c not in STATEMENTS and c not in BLOCKS, depth + 1))
            self.random.shuffle(held)
            self.pairs += [(kind, inner) for inner in held]
            children = ", ".join(self._expression(inner, [], depth + 1) for inner in held)
            return f"made(context.task_{kind}([{children}]))"
        return getattr(self, f"_{kind}")(self._number())

    def _activity(self, n: int) -> str:
        value = self.random.choice(["None", str(n), f"'text {n}'", f"{{'n': {n}, 'list': [1, None]}}", "trace[-1:]"])
        return f"made(context.call_activity('A{n}', {value}))"

    def _options(self) -> str:
        return f"RetryOptions({self.random.choice([1, 1000])}, {self.random.choice([0, 1, 2, 3])})"

    def _activity_retry(self, n: int) -> str:
        return f"made(context.call_activity_with_retry('A{n}', {self._options()}, {n}))"

    def _child(self, n: int) -> str:
        rest = self.random.choice(["", ", instance_id='child'", ", version='1.0'"])
        return f"made(context.call_sub_orchestrator('C{n}', {n}{rest}))"

    def _child_retry(self, n: int) -> str:
        return f"made(context.call_sub_orchestrator_with_retry('C{n}', {self._options()}, {n}))"

    def _timer(self, n: int) -> str:
        seconds = self.random.randint(0, 90)
        return f"timed(context.create_timer(context.current_utc_datetime + timedelta(seconds={seconds})))"

    def _event(self, n: int) -> str:
        if self.random.random() < 0.5:
            name = f"e{n}"
            if not self._loops:
                self.early.append(name)
        else:
            name = self.random.choice(["go", "stop"])
        self.events.append(name)
        return f"made(context.wait_for_external_event('{name}'))"

    def _entity(self, n: int) -> str:
        return f"made(context.call_entity(EntityId('Counter', 'Key'), 'add', {n}))"

    def _http(self, n: int) -> str:
        content = self.random.choice(["", ", {'k': 1}", ", 'raw', is_raw_str=True", ", 42, {'X-A': 'b'}"])
        return f"context.call_http('POST', 'http://localhost/{n}'{content})"

    def _again(self, n: int) -> str:
        return f"again({n})"

    # -- statements

    def _statement(self, lines: list[str], level: int, kind: str, forced: list[str], depth: int) -> None:
        indent = "    " * level
        if kind in BLOCKS:
            getattr(self, f"_block_{kind}")(lines, level, self._held(kind, forced, depth), depth)
        elif kind in STATEMENTS:
            lines.append(indent + self._plain(kind, self._number()))
        else:
            expression = self._expression(kind, forced, depth)
            lines.append(f"{indent}trace.append(show((yield {expression})))")

    def _held(self, kind: str, forced: list[str], depth: int) -> list[str]:
        held = list(forced) or [self._some(lambda c: True, depth + 1)]
        if self.random.random() < 0.4:
            held.append(self._some(lambda c: True, depth + 1))
        self.pairs += [(kind, inner) for inner in held]
        return held

    def _plain(self, kind: str, n: int) -> str:
        race = f"made(context.task_any([{self._timer(n)}, made(context.wait_for_external_event('go'))]))"
        return {
            "status": self.random.choice(["context.set_custom_status(trace[-2:])", "context.set_custom_status(0)"]),
            "signal": f"context.signal_entity(EntityId('Counter', 'Key'), 'set', {n})",
            "uuid": "trace.append([context.new_uuid(), str(context.new_guid())])",
            "clock": "trace.append([str(context.current_utc_datetime), context.custom_status])",
            "cancel": f"trace.append(show((yield {race}))); cancel({n})",
            "unyielded": f"made(context.call_activity('Never{n}'))",
            "input": "trace.append([context.get_input(), context.instance_id, context.parent_instance_id])",
        }[kind]

    def _block_try(self, lines: list[str], level: int, held: list[str], depth: int) -> None:
        indent = "    " * level
        lines.append(f"{indent}try:")
        for inner in held:
            self._statement(lines, level + 1, inner, [], depth + 1)
        lines.append(f"{indent}except Exception as error:")
        lines.append(f"{indent}    trace.append(['caught', str(error)])")

    def _block_catch_all(self, lines: list[str], level: int, held: list[str], depth: int) -> None:
        indent = "    " * level
        lines.append(f"{indent}try:")
        for inner in held:
            self._statement(lines, level + 1, inner, [], depth + 1)
        lines.append(f"{indent}finally:")
        lines.append(f"{indent}    trace.append('finally')")

    def _block_loop(self, lines: list[str], level: int, held: list[str], depth: int) -> None:
        lines.append("    " * level + f"for _ in range({self.random.randint(1, 2)}):")
        self._loops += 1
        for inner in held:
            self._statement(lines, level + 1, inner, [], depth + 1)
        self._loops -= 1

    def _block_helper(self, lines: list[str], level: int, held: list[str], depth: int) -> None:
        indent, name = "    " * level, f"helper{self._number()}"
        lines.append(f"{indent}def {name}():")
        for inner in held:
            self._statement(lines, level + 1, inner, [], depth + 1)
        lines.append(f"{indent}    return '{name}'")
        lines.append(f"{indent}    yield")
        lines.append(f"{indent}trace.append((yield from {name}()))")

    def _ending(self) -> None:
        ending = self.random.random()
        if ending < 0.3:
            self.body.append("    if context.get_input()['n'] < 2:")
            self.body.append("        context.continue_as_new({'n': context.get_input()['n'] + 1, 'trace': trace})")
            self.body.append("        context.continue_as_new('the second call loses')")
            if self.random.random() < 0.5:
                self.body.append("        yield context.call_activity('After')")
        elif ending < 0.4:
            self.body.append("    raise ValueError('the end')")


def compile_program(source: str) -> Any:
    """The orchestrator function of a source, for this side."""
    from perdure.sdk.types import EntityId, RetryOptions

    names: dict[str, Any] = {"EntityId": EntityId, "RetryOptions": RetryOptions, "timedelta": timedelta}
    exec(compile(source, "<orchestrator>", "exec"), names)
    return names["orchestrator"]
