"""The SQL of this store, loaded once from the files beside it."""

from __future__ import annotations

from importlib import resources
from types import SimpleNamespace

_MARK = "-- name: "


def _read(name: str) -> str:
    return (resources.files(__package__) / "sql" / name).read_text(encoding="utf-8")


def parse(text: str) -> dict[str, str]:
    """The statements of a file in which each follows a line with its name. Raises ValueError on a name used twice."""
    statements: dict[str, str] = {}
    for part in text.split(_MARK)[1:]:
        name, _, body = part.partition("\n")
        if name.strip() in statements:
            raise ValueError(f"two statements are named {name.strip()}")
        statements[name.strip()] = body.strip()
    return statements


#: every statement by its name
STATEMENTS = parse(_read("statements.sql"))
SQL = SimpleNamespace(**STATEMENTS)
VIEWS = _read("views.sql")
#: made at each opening where they are missing
INDEXES = _read("indexes.sql")
#: the steps from schema k to k + 1, in order
MIGRATIONS = (_read("0001_tables.sql"), _read("0002_audit.sql"), _read("0003_heard.sql"))
#: the schema that this version writes, and the oldest one whose versions may write it, too
SCHEMA = len(MIGRATIONS)
OLDEST_WRITER = 1
