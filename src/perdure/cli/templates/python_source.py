"""Put functions into a module that users wrote: add the imports it lacks, append the rest, change nothing else."""

from __future__ import annotations

import ast
import re


def defined_names(source: str) -> set[str]:
    """The functions and classes that a module defines at its top level. Raises `SyntaxError`."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.parse(source).body if isinstance(node, kinds)}


def application_name(source: str) -> str | None:
    """The variable that holds the app (`FunctionApp`, `DFApp`) or blueprint of a module. Raises `SyntaxError`."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and isinstance(node.targets[0], ast.Name):
            maker = node.value.func
            name = maker.attr if isinstance(maker, ast.Attribute) else maker.id if isinstance(maker, ast.Name) else ""
            if name in ("FunctionApp", "DFApp", "Blueprint"):
                return node.targets[0].id
    return None


def append_functions(source: str, addition: str, application: str) -> str:
    """`source` with the functions of `addition`, which decorate with `@app`, on the variable `application`."""
    imports, rest = _split_imports(addition)
    body = re.sub(r"^@app\.", f"@{application}.", rest, flags=re.MULTILINE)
    present = {ast.unparse(node) for node in ast.parse(source).body if isinstance(node, (ast.Import, ast.ImportFrom))}
    missing = [line for line in imports if line not in present]
    return f"{add_imports(source, missing).rstrip()}\n\n\n{body.strip()}\n"


def add_imports(source: str, imports: list[str]) -> str:
    """`source` with import lines behind its last top-level import, or before its first statement."""
    if not imports:
        return source
    lines = source.splitlines()
    body = ast.parse(source).body
    known = [node.end_lineno or 0 for node in body if isinstance(node, (ast.Import, ast.ImportFrom))]
    if known:
        position = max(known)
    else:
        docstring = ast.get_docstring(ast.parse(source)) is not None
        position = (body[0].end_lineno or 0) if docstring else 0
    return "\n".join([*lines[:position], *imports, *lines[position:]]) + "\n"


def register_blueprint(source: str, module: str, variable: str) -> str | None:
    """`source` of the app with the blueprint of `module` registered; None when there is no app to register it on."""
    application = application_name(source)
    if application is None:
        return None
    body = ast.parse(source).body
    if any(isinstance(node, ast.ImportFrom) and node.module == module for node in body):
        return source  # it is imported from there already, and so is registered
    alias = f"{module.replace('.', '_')}_{variable}"
    statement = f"from {module} import {variable} as {alias}"
    call = f"{application}.register_functions({alias})"
    lines = source.splitlines()
    for node in body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == application:
            lines.insert(node.end_lineno or len(lines), call)
            break
    return add_imports("\n".join(lines) + "\n", [statement])


def _split_imports(source: str) -> tuple[list[str], str]:
    """The leading imports, as single lines, and what follows them with its comments."""
    imports: list[str] = []
    end = 0
    for node in ast.parse(source).body:
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            break
        imports.append(ast.unparse(node))
        end = node.end_lineno or end
    return imports, "\n".join(source.splitlines()[end:])
