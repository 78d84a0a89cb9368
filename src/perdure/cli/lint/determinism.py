"""PD1xx: what gives another answer when the orchestrator is replayed."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from perdure.cli.lint.module import Function, Module, dotted, imported_names, local_names
from perdure.cli.lint.rules import MUTATORS, PATH_ADVICE, PATH_METHODS, Forbidden, forbidden

Problem = tuple[ast.AST, str, str]


class Names:
    """Resolves names in one function: locals shadow imports, imports inside the function count."""

    def __init__(self, module: Module, function: Function) -> None:
        self._module = module
        self._inner = imported_names(function)
        self._locals: set[str] = set()
        for node in ast.walk(function):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                self._locals.update(local_names(node))

    def is_local(self, name: str) -> bool:
        return name in self._locals

    def origin(self, node: ast.expr) -> str | None:
        """`datetime.datetime.now` for `dt.now`; `open` for the builtin; None for what is not an imported name."""
        parts = dotted(node)
        if parts is None or parts[0] in self._locals:
            return None
        origin = self._inner.get(parts[0]) or self._module.imports.get(parts[0])
        if origin is not None:
            return ".".join([origin, *parts[1:]])
        if len(parts) == 1 and parts[0] not in self._module.functions and parts[0] not in self._module.variables:
            return parts[0]
        return None


def find(module: Module, function: Function) -> Iterator[Problem]:
    """What breaks determinism in the body of one function."""
    names = Names(module, function)
    callees: set[ast.expr] = set()
    seen: set[ast.expr] = set()
    for statement in function.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Call):
                callees.add(node.func)
                problem = _call(names, node)
                if problem is not None:
                    seen.add(node.func)
                    yield problem
            elif isinstance(node, (ast.Attribute, ast.Name)) and node not in callees:
                problem = _reference(names, node)
                if problem is not None and not _inside(node, seen):
                    seen.add(node)
                    yield problem
            yield from _global_state(module, names, node)


def _call(names: Names, call: ast.Call) -> Problem | None:
    origin = names.origin(call.func)
    rule = forbidden(origin) if origin is not None else None
    if rule is not None and origin is not None:
        if rule.without_arguments and (call.args or call.keywords):
            return None
        return _problem(call, f"{origin}()", rule)
    if isinstance(call.func, ast.Attribute) and call.func.attr in PATH_METHODS and _is_path(names, call.func.value):
        return _problem(call, f"Path.{call.func.attr}()", PATH_ADVICE)
    return None


def _reference(names: Names, node: ast.Attribute | ast.Name) -> Problem | None:
    """A forbidden function that is named, not called: `key=random.random`, `os.environ["X"]`."""
    if not isinstance(node.ctx, ast.Load):
        return None
    origin = names.origin(node)
    rule = forbidden(origin) if origin is not None else None
    if rule is None or origin is None or rule.called_only or origin.count(".") == 0:
        return None
    return _problem(node, origin, rule)


def _inside(node: ast.Attribute | ast.Name, reported: set[ast.expr]) -> bool:
    """Whether the node is a part of a longer dotted name that is reported already."""
    for outer in reported:
        inner: ast.expr = outer
        while isinstance(inner, ast.Attribute):
            inner = inner.value
            if inner is node:
                return True
    return False


def _is_path(names: Names, value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        if names.origin(value.func) in ("pathlib.Path", "pathlib.Path.cwd", "pathlib.Path.home"):
            return True
        return isinstance(value.func, ast.Attribute) and _is_path(names, value.func.value)
    if isinstance(value, ast.BinOp):
        return _is_path(names, value.left)
    return isinstance(value, ast.Attribute) and _is_path(names, value.value)


_VERB = {
    "PD101": "reads the clock",
    "PD102": "gives a random value",
    "PD103": "blocks the orchestrator and is not durable",
    "PD104": "is an asyncio primitive, which is not durable",
    "PD105": "does input or output, again at every replay",
    "PD106": "reads the environment",
    "PD108": "starts work beside the orchestrator",
}


def _problem(node: ast.AST, name: str, rule: Forbidden) -> Problem:
    return node, rule.code, f"`{name}` {_VERB[rule.code]}; {rule.advice}"


def _global_state(module: Module, names: Names, node: ast.AST) -> Iterator[Problem]:
    advice = "keep it in local variables, the input of `continue_as_new`, or an entity"
    if isinstance(node, ast.Global):
        for name in node.names:
            yield node, "PD107", f"`global {name}` changes state that replays share; {advice}"
        return
    changed = _changed_name(node)
    if changed in module.variables and not names.is_local(changed or ""):
        yield node, "PD107", f"`{changed}` is global and changed here, again at every replay; {advice}"
        return
    if (
        isinstance(node, ast.Name)
        and isinstance(node.ctx, ast.Load)
        and node.id in module.rebound
        and not names.is_local(node.id)
    ):
        yield (
            node,
            "PD107",
            f"`{node.id}` is global and changed elsewhere, so a replay may read another value; {advice}",
        )


def _changed_name(node: ast.AST) -> str | None:
    """The name whose object a node changes in place: `X[k] = v`, `X.a = v`, `del X[k]`, `X.append(v)`."""
    if isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, (ast.Store, ast.Del)):
        target: ast.expr = node.value
        while isinstance(target, (ast.Subscript, ast.Attribute)):
            target = target.value
        return target.id if isinstance(target, ast.Name) else None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
        return node.func.value.id if isinstance(node.func.value, ast.Name) else None
    return None
