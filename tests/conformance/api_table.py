"""The table of the whole 1.x API: compares the published surface with ours and writes `docs/compatibility-api.md`.

`python -m tests.conformance.api_table` rewrites the page; a test fails when the page and this comparison differ.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.conformance.api_notes import NOTES

ROOT = "azure.durable_functions"
PAGE = Path(__file__).parents[2] / "docs" / "compatibility-api.md"
_SCRIPT = Path(__file__).with_name("surface.py")

#: modules whose rows are worth a reader's time, in the order of the page; all others are compared and counted
SHOWN = (
    "",
    "testing",
    "models.DurableOrchestrationStatus",
    "models.PurgeHistoryResult",
    "models.EntityStateResponse",
    "models.TokenSource",
    "models.DurableHttpRequest",
    "models.DurableOrchestrationBindings",
    "models.FunctionContext",
    "models.Task",
    "models.history",
    "models.actions",
    "models.ReplaySchema",
    "constants",
)


class Row(NamedTuple):
    """One name or member: `state` is same, better or missing."""

    name: str
    state: str
    how: str = ""


@functools.lru_cache(maxsize=1)
def surfaces() -> tuple[dict[str, Any], dict[str, Any]]:
    """The published surface and what of it is here, each from a process of its own."""
    published = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", str(_SCRIPT)], capture_output=True, text=True, check=True, timeout=120
    )
    theirs = json.loads(published.stdout)
    wanted = {path: list(names) for path, names in theirs.items()}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    own = subprocess.run(
        [sys.executable, "-W", "ignore", str(_SCRIPT), "perdure"],
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=environment,
    )
    return theirs, json.loads(own.stdout)


def differences(theirs: dict[str, Any], ours: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    """(member, problem) for whatever code written for `theirs` would trip over in `ours`; member "" is the name."""
    if ours is None:
        yield "", "missing"
        return
    if theirs["kind"] == "value":
        if theirs != ours:
            yield "", f"is {ours.get('value')!r}, published {theirs['value']!r}"
        return
    if theirs["kind"] == "enum":
        if theirs != ours:
            yield "", "has other values"
        return
    yield from (("", problem) for problem in parameter_differences(theirs, ours))
    for name, member in theirs.get("members", {}).items():
        own = ours.get("members", {}).get(name)
        if own is None:
            yield name, "missing"
            continue
        if member.get("coroutine", False) != own.get("coroutine", False):
            yield name, "is a coroutine function in only one of the two"
        if member["kind"] == "property" and member.get("settable") and own.get("settable") is False:
            yield name, "cannot be set"
        if (member["kind"] in ("property", "attribute")) != (own["kind"] in ("property", "attribute")):
            yield name, f"is a {own['kind']}, published a {member['kind']}"
        yield from ((name, problem) for problem in parameter_differences(member, own))


def parameter_differences(theirs: dict[str, Any], ours: dict[str, Any]) -> Iterator[str]:
    """What a call that the published signature takes would trip over."""
    published, own = theirs.get("parameters"), ours.get("parameters")
    if not published or own is None:
        return
    fixed = [p for p in own if not p["kind"].startswith("VAR_")]
    for position, parameter in enumerate(p for p in published if not p["kind"].startswith("VAR_")):
        found = fixed[position] if position < len(fixed) else None
        if found is None or found["name"] != parameter["name"]:
            yield f"parameter {position} is not {parameter['name']!r}"
            return
        if parameter["default"] is not None and found["default"] != parameter["default"]:
            yield f"default of {parameter['name']!r} is {found['default']}, published {parameter['default']}"
    known = {p["name"] for p in published}
    for extra in fixed:
        if extra["name"] not in known and extra["default"] is None:
            yield f"needs the further parameter {extra['name']!r}"
    for parameter in published:
        if parameter["kind"] == "VAR_KEYWORD" and not any(p["kind"] == "VAR_KEYWORD" for p in own):
            yield "takes no further keyword arguments"


def rows(module: str) -> Iterator[Row]:
    """The rows of one module."""
    theirs, ours = surfaces()
    path = f"{ROOT}.{module}".rstrip(".")
    for name, published in theirs[path].items():
        own = ours.get(path, {}).get(name)
        problems = {member: problem for member, problem in differences(published, own)}
        yield _row(name, problems.get(""))
        for member in published.get("members", {}):
            yield _row(f"{name}.{member}", problems.get(member))


def _row(name: str, problem: str | None) -> Row:
    note = NOTES.get(name, "")
    if problem is None:
        return Row(name, "better" if note else "same", note)
    if problem == "missing":
        return Row(name, "missing", note or "inner working of the published package")
    return Row(name, "missing" if note.startswith("raises") else "other signature", note or problem)


def page() -> str:
    """The text of the page."""
    theirs, _ = surfaces()
    names = sum(len(found) for found in theirs.values())
    lines = [
        "# The 1.x API, name by name",
        "",
        "Compared by a test with the published package `azure-functions-durable` 1.7.0: every module, public name,",
        "class member, parameter, default and enum value. *same*: what is written for the published one works and",
        "gives the same; *better*: works where the published one fails, loses data or stands still; *other signature*",
        "and *missing*: what no app or test should need, with the reason. What behaves differently by choice is in",
        "[compatibility.md](compatibility.md). This page is written by `python -m tests.conformance.api_table`.",
        "",
        f"{len(theirs)} modules with {names} names (repeated where modules show each other's names). Those that apps "
        "and tests use follow.",
    ]
    for module in SHOWN:
        path = f"{ROOT}.{module}".rstrip(".")
        lines += ["", f"## `{path}`", "", "| name | here | how |", "| --- | --- | --- |"]
        lines += [f"| `{row.name}` | {row.state} | {row.how} |" for row in rows(module)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
