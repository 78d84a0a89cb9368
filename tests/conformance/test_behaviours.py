"""The page of behaviours: as written, complete for the table of dialects, every row with tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

from perdure.sdk.dialect import Dialect
from tests.conformance.behaviours import DIALECT_FIELDS, PAGE, SECTIONS, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.conformance.behaviours`"


def test_every_difference_of_the_dialects_is_explained() -> None:
    assert tuple(DIALECT_FIELDS) == Dialect.__struct_fields__


def test_every_row_has_tests_that_exist() -> None:
    folder = Path(__file__).parents[1]
    places = ("unit/sdk/test_sdk_*.py", "unit/host/test_*.py", "unit/taskhub/test_*.py", "conformance/test_*.py")
    files = [file for place in (*places, "acceptance/test_*.py") for file in folder.glob(place)]
    known = {name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)}
    for rows in SECTIONS.values():
        for row in rows:
            assert row.here in ("same", "better", "missing"), row
            assert row.tests and set(row.tests.split()) <= known, row
            assert row.here == "same" or row.how, row
