"""PD2xx: tasks that nobody waits for, yields of what is no task, and calls that go around the hub."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from perdure.cli.lint.determinism import Problem
from perdure.cli.lint.module import Function, Module, is_generator, own_nodes
from perdure.cli.lint.rules import NO_TASK_METHODS, TASK_METHODS

_PLAIN = (
    ast.Constant,
    ast.JoinedStr,
    ast.Dict,
    ast.Set,
    ast.Tuple,
    ast.DictComp,
    ast.SetComp,
    ast.GeneratorExp,
    ast.BinOp,
    ast.Compare,
    ast.Lambda,
)


def find(module: Module, function: Function, *, is_orchestrator: bool, delegated: bool) -> Iterator[Problem]:
    """Misuse of tasks in the body of one function, which is an orchestrator or called by one.

    `delegated`: what it yields goes to the hub (`yield from`); other generators may yield what they like.
    """
    if is_orchestrator:
        yield from _shape(function)
    waits = "awaited" if isinstance(function, ast.AsyncFunctionDef) else "yielded"
    read = {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    dead = set(_never_run(function))
    for node in own_nodes(function):
        if node in dead:
            continue
        if isinstance(node, ast.Expr):
            yield from _unused(module, node.value, waits)
        elif isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) for target in node.targets):
            targets = [target.id for target in node.targets if isinstance(target, ast.Name)]
            task = _task_in(node.value)
            if task is not None and not read.intersection(targets):
                yield task, "PD201", _never(task, waits, f", `{targets[0]}` is not used")
        elif isinstance(node, ast.Return) and is_orchestrator and node.value is not None:
            task = _task_call(node.value)
            if task is not None:
                yield task, "PD201", _never(task, waits, ": an orchestrator cannot return a task")
        elif isinstance(node, ast.Yield) and (is_orchestrator or delegated):
            yield from _yielded(module, node)
        if isinstance(node, ast.Call):
            yield from _direct_call(module, node)


def _never_run(function: Function) -> Iterator[ast.AST]:
    """What stands behind `return` or `raise`, or under `if False`: often a `yield` that only makes a generator."""
    for node in ast.walk(function):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if not isinstance(block, list):
                continue
            ends = [at for at, each in enumerate(block) if isinstance(each, (ast.Return, ast.Raise))]
            after = block[ends[0] + 1 :] if ends else []
            if name == "body" and isinstance(node, ast.If) and isinstance(node.test, ast.Constant):
                after = block if not node.test.value else after
            for statement in after:
                yield from ast.walk(statement)


def _shape(function: Function) -> Iterator[Problem]:
    if isinstance(function, ast.AsyncFunctionDef) and is_generator(function):
        yield (
            function,
            "PD205",
            f"`{function.name}` is an async generator: use `def` with `yield`, or `async def` with `await`",
        )
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    required = len(positional) - len(arguments.defaults)
    if (not positional and arguments.vararg is None) or required > 2:
        yield (
            function,
            "PD206",
            f"`{function.name}` takes {len(positional)} parameters: an orchestrator gets the context "
            "(and, if it takes two, the input)",
        )


def _unused(module: Module, value: ast.expr, waits: str) -> Iterator[Problem]:
    """An expression statement whose value would have been needed."""
    task = _task_in(value)
    if task is not None:
        yield task, "PD201", _never(task, waits, "")
        return
    helper = _called_generator(module, value)
    if helper is not None:
        yield (
            value,
            "PD204",
            f"`{helper.name}(...)` makes a generator that never runs; use `{_delegation(helper)} {helper.name}(...)`",
        )


def _yielded(module: Module, node: ast.Yield) -> Iterator[Problem]:
    value = node.value
    if value is None:
        yield node, "PD202", "`yield` without a task: the instance could never go on"
    elif isinstance(value, (ast.List, ast.ListComp)):
        yield value, "PD202", "a list is yielded; use `yield context.task_all(...)` or `context.task_any(...)`"
    elif isinstance(value, _PLAIN):
        yield value, "PD202", f"`{_source(value)}` is no task; yield what a method of the context returned"
    elif isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in NO_TASK_METHODS:
        yield value, "PD202", f"`{value.func.attr}` returns no task; call it without `yield`"
    else:
        helper = _called_generator(module, value)
        if helper is not None:
            yield value, "PD204", f"`{helper.name}(...)` is a generator; use `yield from {helper.name}(...)`"


def _direct_call(module: Module, call: ast.Call) -> Iterator[Problem]:
    if not isinstance(call.func, ast.Name):
        return
    kind = module.kinds.get(call.func.id)
    if kind is None:
        return
    method = {"activity": "call_activity", "orchestrator": "call_sub_orchestrator", "entity": "call_entity"}[kind]
    yield (
        call,
        "PD203",
        f"`{call.func.id}` is an {kind} function and is called directly, so nothing is recorded; "
        f"use `yield context.{method}(...)`",
    )


def _called_generator(module: Module, value: ast.expr) -> Function | None:
    """The plain function of this module that `value` calls, if the call makes a generator or coroutine."""
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Name) or value.func.id in module.kinds:
        return None
    function = module.functions.get(value.func.id)
    if function is None or not (is_generator(function) or isinstance(function, ast.AsyncFunctionDef)):
        return None
    return function


def _delegation(function: Function) -> str:
    return "await" if isinstance(function, ast.AsyncFunctionDef) else "yield from"


def _task_call(value: ast.expr) -> ast.Call | None:
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in TASK_METHODS:
        return value
    return None


def _task_in(value: ast.expr) -> ast.Call | None:
    """The task that an expression is, or the first of those that a list holds."""
    if isinstance(value, ast.ListComp):
        return _task_call(value.elt)
    if isinstance(value, (ast.List, ast.Tuple)):
        return next((task for element in value.elts if (task := _task_call(element))), None)
    return _task_call(value)


def _never(task: ast.Call, waits: str, why: str) -> str:
    method = task.func.attr if isinstance(task.func, ast.Attribute) else "?"
    return f"the task of `{method}` is never {waits}, so it is never scheduled{why}"


def _source(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 40 else text[:37] + "..."
