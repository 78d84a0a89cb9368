"""One module as the checks see it: its imports, functions, and which of them are durable."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Union

from msgspec import Struct

Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_TRIGGERS = {
    "orchestration_trigger": "orchestrator",
    "activity_trigger": "activity",
    "entity_trigger": "entity",
}


class Module(Struct, frozen=True):
    """`functions` by name, also nested ones (the outermost of a name wins); `kinds` of those that are durable.

    `variables` are names assigned at module level; `rebound` those that some function rebinds with `global`.
    """

    imports: dict[str, str]
    functions: dict[str, Function]
    kinds: dict[str, str]
    orchestrators: list[Function]
    variables: frozenset[str]
    rebound: frozenset[str]


def read_module(tree: ast.Module) -> Module:
    """Collect what the checks need of a parsed module."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS)]
    # breadth first, so of functions with one name the outermost comes first; it is the one to keep
    functions = {node.name: node for node in reversed(nodes)}
    kinds = {node.name: kind for node in nodes if (kind := _decorated_kind(node))}
    orchestrators = [node for node in nodes if _decorated_kind(node) == "orchestrator"]
    for node in _created(tree, "Orchestrator"):
        if node.id in functions and functions[node.id] not in orchestrators:
            orchestrators.append(functions[node.id])
    kinds.update({node.id: "entity" for node in _created(tree, "Entity") if node.id in functions})
    kinds.update({node.name: "orchestrator" for node in orchestrators})
    return Module(
        imports=imported_names(tree),
        functions=functions,
        kinds=kinds,
        orchestrators=sorted(orchestrators, key=lambda node: node.lineno),
        variables=frozenset(name for statement in tree.body for name in _assigned(statement)),
        rebound=frozenset(name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names),
    )


def imported_names(tree: ast.AST) -> dict[str, str]:
    """Local name -> dotted origin, of every import below `tree` (star imports are not followed)."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.split(".")[0]
                names[alias.asname or root] = alias.name if alias.asname else root
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return names


def dotted(node: ast.expr) -> list[str] | None:
    """The parts of `a.b.c`; None for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return [node.id, *reversed(parts)]


def local_names(function: Function | ast.Lambda) -> frozenset[str]:
    """Parameters and names bound in the function itself, imports aside."""
    arguments = function.args
    names = {
        argument.arg
        for argument in (
            *arguments.posonlyargs,
            *arguments.args,
            *arguments.kwonlyargs,
            *filter(None, (arguments.vararg, arguments.kwarg)),
        )
    }
    outer: set[str] = set()
    for node in own_nodes(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            outer.update(node.names)
        elif isinstance(node, _SCOPES) and not isinstance(node, ast.Lambda):
            names.add(node.name)
    return frozenset(names - outer)


def own_nodes(function: Function | ast.Lambda) -> Iterator[ast.AST]:
    """The nodes of a function's body, without those of functions and classes inside it."""
    stack: list[ast.AST] = list(function.body) if isinstance(function.body, list) else [function.body]
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, _SCOPES):
            stack.extend(ast.iter_child_nodes(node))


def is_generator(function: Function) -> bool:
    """Whether the function has a `yield` of its own."""
    return any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in own_nodes(function))


def _decorated_kind(function: Function) -> str:
    for decorator in function.decorator_list:
        call = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(call, ast.Attribute):
            if call.attr in _TRIGGERS:
                return _TRIGGERS[call.attr]
            if call.attr == "create" and (dotted(call) or [""])[-2:-1] in (["Orchestrator"], ["Entity"]):
                return (dotted(call) or [""])[-2].lower()
    return ""


def _created(tree: ast.Module, factory: str) -> Iterator[ast.Name]:
    """The names given to `Orchestrator.create(...)` or `Entity.create(...)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (dotted(node.func) or [])[-2:] == [factory, "create"]:
            values = [*node.args, *(keyword.value for keyword in node.keywords)]
            yield from (value for value in values[:1] if isinstance(value, ast.Name))


def _assigned(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))
