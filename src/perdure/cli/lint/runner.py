"""Lint files and folders: find them, check them, print the findings."""

from __future__ import annotations

import json
import os
import tokenize
from collections.abc import Iterator, Sequence
from typing import TextIO

from perdure.cli.lint.checks import check_source
from perdure.cli.lint.rules import TITLES, Finding

_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "build", "dist"})


class LintUsageError(Exception):
    """The command cannot be carried out as asked; the text is ready to print."""


def lint(
    paths: Sequence[str] = (".",),
    *,
    output_format: str = "text",
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    out: TextIO,
    err: TextIO,
) -> int:
    """Check the orchestrators below `paths`. Returns 0 without findings, 1 with some, 2 when it could not be done."""
    try:
        _check_options(output_format, [*select, *ignore])
        findings = [finding for path in _files(paths) for finding in _check_file(path)]
    except LintUsageError as error:
        print(f"error: {error}", file=err)
        return 2
    kept = [finding for finding in findings if _wanted(finding.code, select, ignore)]
    if output_format == "json":
        json.dump([_as_json(finding) for finding in kept], out, indent=2)
        out.write("\n")
    else:
        for finding in kept:
            print(f"{finding.path}:{finding.line}:{finding.column}: {finding.code} {finding.message}", file=out)
        print(_summary(len(kept)), file=out)
    return 1 if kept else 0


def _check_options(output_format: str, codes: Sequence[str]) -> None:
    if output_format not in ("text", "json"):
        raise LintUsageError(f"unknown output format '{output_format}': expected text or json")
    for code in codes:
        if not code or not any(known.startswith(code) for known in TITLES):
            raise LintUsageError(f"unknown rule '{code}': expected one of {', '.join(TITLES)}, or how they begin")


def _wanted(code: str, select: Sequence[str], ignore: Sequence[str]) -> bool:
    return (not select or code.startswith(tuple(select))) and not code.startswith(tuple(ignore))


def _files(paths: Sequence[str]) -> Iterator[str]:
    for path in paths:
        if os.path.isdir(path):
            yield from _python_files(path)
        elif os.path.exists(path):
            yield path
        else:
            raise LintUsageError(f"no such file or folder: {path}")


def _python_files(folder: str) -> Iterator[str]:
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if name not in _SKIPPED
            and not name.startswith(".")
            and not os.path.exists(os.path.join(where, name, "pyvenv.cfg"))
        )
        for name in sorted(files):
            if name.endswith(".py"):
                yield os.path.normpath(os.path.join(where, name))


def _check_file(path: str) -> list[Finding]:
    try:
        with tokenize.open(path) as file:
            source = file.read()
    except (SyntaxError, UnicodeDecodeError) as error:
        return [Finding(path, 1, 1, "PD001", f"not valid Python: {error}", 1, 1)]
    except OSError as error:
        raise LintUsageError(f"cannot read {path}: {error.strerror}") from None
    return check_source(path, source)


def _summary(count: int) -> str:
    if not count:
        return "All checks passed!"
    return f"Found {count} error{'s' if count > 1 else ''}."


def _as_json(finding: Finding) -> dict[str, object]:
    return {
        "code": finding.code,
        "title": TITLES[finding.code],
        "message": finding.message,
        "filename": finding.path,
        "location": {"row": finding.line, "column": finding.column},
        "end_location": {"row": finding.end_line, "column": finding.end_column},
    }
