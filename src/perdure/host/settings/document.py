"""docs/settings.md, printed from the tables that the code reads: `python -m perdure.host.settings.document`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from perdure.host.settings.setting_kinds import Kind, format_time_span
from perdure.host.settings.table import LOCAL_SETTINGS, SETTINGS, VARIABLES, Effect, PerCpu, Setting, Variable

_HEAD = """# Settings

Printed from the tables that the code reads (`python -m perdure.host.settings.document`); a test keeps them equal.

Each setting is **honoured**, **accepted without effect** (it may be there; the note says why it does nothing) or
**refused** (the host does not start). Keys that are not listed are ignored.

## How values are found

- `host.json` lies in the app's folder and must hold `"version": "2.0"`. Comments and trailing commas are fine, keys
  match in any case, numbers and booleans may be written as texts.
- Any key can be overridden by an environment variable `AzureFunctionsJobHost__section__key`; `__` separates levels and
  the position in a list is a level. The environment wins.
- Time spans are `[d.]hh:mm:ss[.fffffff]`. A bare whole number means *days*.
- `%NAME%` is replaced by an app setting in `hubName` and in binding texts such as schedules.
- A value of the wrong type ends the start with a message that names the key, the value and what was expected.
"""

_SECTIONS = (
    ("host.json", ""),
    ("extensions.http", "extensions.http."),
    ("logging", "logging."),
    ("extensions.durableTask", "extensions.durableTask."),
    ("extensions.durableTask.storageProvider", "extensions.durableTask.storageProvider."),
    ("extensions.perdure: settings of perdure's own, ignored by Azure", "extensions.perdure."),
    ("other extensions", "extensions."),
)


def document() -> str:
    """The whole text of docs/settings.md."""
    lines = [_HEAD]
    for title, prefix in _SECTIONS:
        lines += [f"## {title}", "", *_setting_rows(_of_section(prefix), prefix), ""]
    lines += ["## local.settings.json", "", *_variable_rows(LOCAL_SETTINGS), ""]
    lines += ["## Environment variables and app settings", "", *_variable_rows(VARIABLES)]
    return "\n".join(lines) + "\n"


def _of_section(prefix: str) -> list[Setting]:
    """The rows whose longest section is this one."""
    prefixes = sorted((other for _, other in _SECTIONS), key=len, reverse=True)
    return [row for row in SETTINGS if next(p for p in prefixes if row.key.startswith(p)) == prefix]


def _setting_rows(rows: Iterable[Setting], prefix: str) -> Iterator[str]:
    yield "| key | type | default | effect | |"
    yield "| --- | --- | --- | --- | --- |"
    for row in rows:
        default = _default(row.kind, row.default)
        yield f"| `{row.key[len(prefix) :]}` | {row.kind.name} | {default} | {_effect(row.effect)} | {row.note} |"


def _variable_rows(rows: Iterable[Variable]) -> Iterator[str]:
    yield "| name | default | effect | |"
    yield "| --- | --- | --- | --- |"
    for row in rows:
        yield f"| `{row.name}` | {row.default} | {_effect(row.effect)} | {row.note} |"


def _effect(effect: Effect) -> str:
    return f"**{effect.value}**" if effect is Effect.REFUSED else effect.value


def _default(kind: Kind, value: Any) -> str:
    if value is None or value in ("", (), {}):
        return '`""`' if value == "" and kind.name == "text" else "none"
    if isinstance(value, PerCpu):
        return f"{value.factor} per processor"
    if kind.name.startswith("TimeSpan"):
        return format_time_span(value)
    if isinstance(value, str):
        return value
    return f"`{json.dumps(value)}`"


if __name__ == "__main__":
    print(document(), end="")
