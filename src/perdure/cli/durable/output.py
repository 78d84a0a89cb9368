"""What commands print: tables and lines for people, JSON for scripts, progress of long work on the error output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from enum import Enum
from types import TracebackType
from typing import Any, NamedTuple

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


class Narrow(Enum):
    """What becomes of a column on a terminal that is too narrow for all of them."""

    KEEP = "keep"
    LEAVE_OUT = "leave out"
    CUT = "cut"


class Column(NamedTuple):
    """A column of a table. The last that may be left out goes first; what is cut keeps `least` characters."""

    name: str
    narrow: Narrow = Narrow.KEEP
    least: int = 8


#: characters between two columns, one of them the box's own, and before the first
_GAP, _EDGE = 2, 1


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """A table as wide as the output, each row on one line where that can be done."""
    from rich import box
    from rich.cells import cell_len, set_cell_size
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # a pipe has no width: nothing is cut off or left out for it
    console = Console(width=None if sys.stdout.isatty() else 10_000, highlight=False)
    cells = [list(row) for row in rows]
    widths = [max([cell_len(column.name), *(cell_len(row[at]) for row in cells)]) for at, column in enumerate(columns)]
    shown, limits = _fitting(columns, widths, console.width)
    made = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, padding=(0, _GAP - 1, 0, 0))
    for at in shown:
        made.add_column(columns[at].name, overflow="fold")
    for row in cells:
        texts = (
            row[at] if cell_len(row[at]) <= limits[at] else set_cell_size(row[at], limits[at] - 1) + "…" for at in shown
        )
        made.add_row(*(Text(text, style=_COLOURS.get(text, "")) for text in texts))
    console.print(made)
    lost = [column.name for at, column in enumerate(columns) if at not in shown or limits[at] < widths[at]]
    if lost:
        print(f"Left out or cut at this width: {', '.join(lost)}.")


def _fitting(columns: Sequence[Column], widths: Sequence[int], width: int) -> tuple[list[int], list[int]]:
    """Which columns are shown, and how wide the cells of each of all columns may be."""
    shown, limits = list(range(len(columns))), list(widths)

    def excess() -> int:
        return _EDGE + sum(limits[at] + _GAP for at in shown) - width

    for at in reversed(range(len(columns))):
        if columns[at].narrow is Narrow.LEAVE_OUT and excess() > 0:
            shown.remove(at)
    for at in reversed(shown):
        if columns[at].narrow is Narrow.CUT and excess() > 0:
            limits[at] = max(min(columns[at].least, limits[at]), limits[at] - excess())
    return shown, limits


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
    text = "".join(character if character.isprintable() else " " for character in " ".join(text.split()))
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
