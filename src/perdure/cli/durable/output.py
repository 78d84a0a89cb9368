"""What commands print: tables and lines for people, JSON for scripts, progress of long work on the error output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any

from perdure.model.history_view import whole_seconds
from perdure.model.instance import InstanceRecord

_COLOURS = {
    "Completed": "green",
    "Running": "cyan",
    "Pending": "yellow",
    "Suspended": "magenta",
    "Failed": "red",
    "Terminated": "red",
    "Canceled": "red",
}
_LONGEST_CELL = 400


def print_json(value: Any) -> None:
    """Indented JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """A table as wide as the output."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=box.SIMPLE, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(Text(cell, style=_COLOURS.get(cell, ""), overflow="fold") for cell in row))
    # a pipe has no width: nothing is cut off or folded for it
    Console(width=None if sys.stdout.isatty() else 10_000, highlight=False).print(table)


def print_fields(fields: Iterable[tuple[str, str | None]]) -> None:
    """Names and values, one to a line; those without a value are left out."""
    shown = [(name, value) for name, value in fields if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        print(f"{name:<{width}}  {value}")


def state_fields(record: InstanceRecord, show_input: bool, show_output: bool) -> list[tuple[str, str | None]]:
    """What people read of an instance."""
    return [
        ("Instance", record.instance_id),
        ("Name", record.name),
        ("Status", record.status.label + (" (parked)" if record.parked else "")),
        ("Custom status", record.custom_status),
        ("Created", whole_seconds(record.created)),
        ("Last updated", whole_seconds(record.updated or record.created)),
        ("Completed", whole_seconds(record.completed) if record.completed else None),
        ("Version", record.version),
        ("Generation", str(record.generation) if record.generation else None),
        ("Parent", record.parent_id),
        ("Tags", ", ".join(f"{key}={value}" for key, value in (record.tags or {}).items())),
        ("Input", record.input if show_input else None),
        ("Output", record.output if show_output else None),
    ]


def cell(value: Any) -> str:
    """A value for a table: one line, not too long."""
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 1] + "…"


class Progress:
    """A bar on the error output of a terminal; nothing where there is none."""

    def __init__(self, what: str, total: int) -> None:
        self._bar: Any = None
        if sys.stderr.isatty() and total > 0:
            from rich.console import Console
            from rich.progress import Progress as Bar

            self._bar = Bar(console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(what, total=total)

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def advance(self, count: int) -> None:
        """So much more is done."""
        if self._bar is not None:
            self._bar.advance(self._task, count)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()
