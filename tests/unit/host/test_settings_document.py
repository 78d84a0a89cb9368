"""docs/settings.md says what the code does, and names every key of the table once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from perdure.host.settings.document import document
from perdure.host.settings.table import SETTINGS

DOCUMENT = Path(__file__).parents[3] / "docs" / "settings.md"


def test_document_is_printed_from_the_table() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), (
        "docs/settings.md is out of date: python -m perdure.host.settings.document > docs/settings.md"
    )


def test_keys_are_unique() -> None:
    repeated = [key for key, count in Counter(row.key.lower() for row in SETTINGS).items() if count > 1]
    assert repeated == []


def test_every_default_is_one_that_the_kind_reads() -> None:
    for row in SETTINGS:
        if (
            isinstance(row.default, (str, bool, int))
            and row.default != ""
            and row.key != "extensions.durableTask.hubName"
        ):
            row.kind.read(row.default)
