"""All checks of one file: orchestrators, and what of the same file they call."""

from __future__ import annotations

import ast
import re
import tokenize
from io import StringIO

from perdure.cli.lint import determinism, task_use
from perdure.cli.lint.module import Function, Module, read_module
from perdure.cli.lint.rules import Finding

_NOQA = re.compile(r"#\s*noqa(?!\w)(?P<codes>\s*:\s*[A-Z][A-Z0-9]*(?:[\s,]+[A-Z][A-Z0-9]*)*)?", re.IGNORECASE)


def check_source(path: str, source: str) -> list[Finding]:
    """The findings in one file, in order of their place. A file that does not parse is one finding."""
    try:
        tree = ast.parse(source, filename=path)
    except (SyntaxError, ValueError) as error:
        line, column = (error.lineno or 1, error.offset or 1) if isinstance(error, SyntaxError) else (1, 1)
        text = error.msg if isinstance(error, SyntaxError) else str(error)
        return [Finding(path, line, column, "PD001", f"not valid Python: {text}", line, column)]
    module = read_module(tree)
    lines = source.splitlines()
    found: dict[tuple[int, int, str], Finding] = {}
    for orchestrator in module.orchestrators:
        reached = _reached(module, orchestrator)
        delegated = _delegated(reached)
        for function in reached:
            called = "" if function is orchestrator else f" (called by orchestrator `{orchestrator.name}`)"
            problems = [
                *determinism.find(module, function),
                *task_use.find(
                    module, function, is_orchestrator=function is orchestrator, delegated=function.name in delegated
                ),
            ]
            for node, code, message in problems:
                finding = _finding(path, lines, node, code, message + called)
                found.setdefault((finding.line, finding.column, code), finding)
    silenced = _silenced(source)
    return sorted(
        finding
        for finding in found.values()
        if not (finding.line in silenced and (not silenced[finding.line] or finding.code in silenced[finding.line]))
    )


def _reached(module: Module, orchestrator: Function) -> list[Function]:
    """The orchestrator and the plain functions of its module that it names, directly or through others."""
    reached = [orchestrator]
    for function in reached:
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in module.kinds:
                helper = module.functions.get(node.id)
                if helper is not None and helper not in reached:
                    reached.append(helper)
    return reached


def _delegated(functions: list[Function]) -> set[str]:
    """The names of functions that one of these calls with `yield from`."""
    return {
        node.value.func.id
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.YieldFrom)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
    }


def _finding(path: str, lines: list[str], node: ast.AST, code: str, message: str) -> Finding:
    line, offset = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
    end_line, end_offset = getattr(node, "end_lineno", line), getattr(node, "end_col_offset", offset)
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        end_line, end_offset = line, offset
    return Finding(
        path, line, _column(lines, line, offset), code, message, end_line, _column(lines, end_line, end_offset)
    )


def _column(lines: list[str], line: int, offset: int) -> int:
    """Offsets of the parser count bytes; editors count characters, from 1."""
    if not 0 < line <= len(lines):
        return offset + 1
    return len(lines[line - 1].encode()[:offset].decode(errors="replace")) + 1


def _silenced(source: str) -> dict[int, frozenset[str]]:
    """Line -> codes that a `# noqa` comment on it silences; an empty set silences all."""
    silenced: dict[int, frozenset[str]] = {}
    try:
        for token in tokenize.generate_tokens(StringIO(source).readline):
            match = _NOQA.search(token.string) if token.type == tokenize.COMMENT else None
            if match is not None:
                codes = re.findall(r"[A-Z][A-Z0-9]*\d", (match["codes"] or "").upper())
                silenced[token.start[0]] = frozenset(codes)
    except (tokenize.TokenError, IndentationError):
        pass  # the parser took it, so comments up to here are known
    return silenced
