"""Values of query parameters: what is understood, what is left out, what is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.host.http.query_values import BadParameter, Parameters, parse_time, status_in_any_case
from perdure.model.instance import RuntimeStatus


def micros(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=timezone.utc).timestamp()) * 1_000_000  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-28T18:37:00Z", micros(2026, 11, 28, 18, 37)),
        ("2026-11-28T18:37:00+02:00", micros(2026, 11, 28, 16, 37)),
        # an address whose + was not encoded
        ("2026-11-28T18:37:00 02:00", micros(2026, 11, 28, 16, 37)),
        ("2026-11-28T18:37:00.25 0000", micros(2026, 11, 28, 18, 37) + 250_000),
        ("2026-11-28 18:37", micros(2026, 11, 28, 18, 37)),
        ("11/28/2026", micros(2026, 11, 28)),
        ("Sat, 28 Nov 2026 18:37:00 GMT", micros(2026, 11, 28, 18, 37)),
        ("2026-13-01", None),
        ("9" * 5000, None),
        ("soon", None),
    ],
)
def test_times(text: str, expected: int | None) -> None:
    assert parse_time(text) == expected


@given(st.text(alphabet="0123456789-:TZ+. ,/MonJanGMT()\"'", max_size=40))
def test_no_text_breaks_the_reading_of_times(text: str) -> None:
    found = parse_time(text)
    assert found is None or isinstance(found, int)


@pytest.mark.parametrize("text", ["0", "Running", "running", " RUNNING "])
def test_the_first_status_is_one_too(text: str) -> None:
    assert status_in_any_case(text) is RuntimeStatus.RUNNING


def test_statuses_want_exact_names() -> None:
    parameters = Parameters([("RuntimeStatus", "Running, 1,completed,²"), ("runtimeStatus", "9" * 5000)])
    assert parameters.statuses() == (RuntimeStatus.RUNNING, RuntimeStatus.COMPLETED)


@pytest.mark.parametrize(("text", "expected"), [("7", 7), ("007", 7), (" 3 ", 3), ("9" * 5000, 10**18 - 1)])
def test_counts(text: str, expected: int) -> None:
    assert Parameters([("TOP", text)]).count("top", 100) == expected


READERS: dict[str, Callable[[Parameters], Any]] = {
    "top": lambda parameters: parameters.count("top", 100),
    "wait": lambda parameters: parameters.seconds("wait"),
    "tag": lambda parameters: parameters.tags("tag"),
    "createdTimeTo": lambda parameters: parameters.time_if_given("createdTimeTo"),
}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("top", "0"), ("top", "-1"), ("top", "1.5"), ("top", "\uff11"), ("wait", "-1"), ("wait", "nan"),
        ("wait", "9" * 5000), ("tag", "red"), ("tag", ""), ("createdTimeTo", "soon"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(name: str, text: str) -> None:
    with pytest.raises(BadParameter) as raised:
        READERS[name](Parameters([(name, text)]))
    assert f"parameter '{name}'" in str(raised.value)
    assert len(str(raised.value)) < 250
