"""Conversion of plain JSON to annotated types."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple, Optional, TypedDict, Union

import pytest

from perdure.sdk.typed import ConversionError, convert


class Color(enum.Enum):
    RED = "red"


class Custom:
    def __init__(self, x: int) -> None:
        self.x = x

    @classmethod
    def from_json(cls, data: dict[str, int]) -> Custom:
        return cls(data["x"])


@dataclass
class Line:
    price: decimal.Decimal
    color: Color = Color.RED
    next: Line | None = None


@dataclass
class Order:
    id: uuid.UUID
    lines: list[Line]
    by_day: dict[datetime.date, int] = field(default_factory=dict)


class Pair(NamedTuple):
    a: int
    b: float = 0.0


class Options(TypedDict, total=False):
    when: datetime.datetime


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (1, Any, 1),
        (1, int, 1),
        (1, float, 1.0),
        (2.0, int, 2),
        (None, None, None),
        (None, Optional[int], None),  # noqa: UP045
        ("x", Union[int, str], "x"),
        (["1"], list[str], ["1"]),
        ([1, 2], tuple[int, ...], (1, 2)),
        ([1, "a"], tuple[int, str], (1, "a")),
        ([1], set[int], {1}),
        ([1], Sequence[int], [1]),
        ({"1": [2]}, dict[int, tuple[int, ...]], {1: (2,)}),
        ({"a": 1}, Mapping[str, float], {"a": 1.0}),
        ("red", Color, Color.RED),
        ("a", Literal["a", "b"], "a"),
        ({"x": 4}, Annotated[dict[str, int], "note"], {"x": 4}),
        ("2024-01-01T00:00:00Z", datetime.datetime, datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)),
        ("1.5", decimal.Decimal, decimal.Decimal("1.5")),
        ([1, 2], Pair, Pair(1, 2.0)),
        ({"a": 1}, Pair, Pair(1)),
        ({"when": "2024-01-01"}, Options, {"when": datetime.datetime(2024, 1, 1)}),
        ("anything", "unresolved", "anything"),
    ],
)
def test_fits(value: Any, annotation: Any, expected: Any) -> None:
    result = convert(value, annotation)
    assert result == expected
    assert type(result) is type(expected)


def test_nested_records() -> None:
    order = convert(
        {
            "id": "00000000-0000-0000-0000-000000000001",
            "lines": [{"price": "1.10", "next": {"price": "2", "color": "red"}}],
            "by_day": {"2024-01-01": 3},
            "unknown": 1,
        },
        Order,
    )
    assert order == Order(
        uuid.UUID(int=1),
        [Line(decimal.Decimal("1.10"), Color.RED, Line(decimal.Decimal("2")))],
        {datetime.date(2024, 1, 1): 3},
    )
    assert convert({"x": 2}, Custom).x == 2
    assert convert(order, Order) is order


@pytest.mark.parametrize(
    ("value", "annotation", "text"),
    [
        ("3", int, "input: expected int, got str '3'"),
        (True, str, "input: expected str, got bool True"),
        ({"id": "x", "lines": []}, Order, "input.id: expected UUID, got str 'x'"),
        ({"lines": []}, Order, "input: Order does not accept it: "),
        ([1, "x"], list[int], r"input\[1\]: expected int, got str 'x'"),
        ([1], tuple[int, int], "input: expected 2 items, got list"),
        ("blue", Color, r"input: expected a value of Color \('red'\), got str 'blue'"),
        (1, Union[str, list[int]], "input: expected str or list"),
        ("c", Literal["a"], r"input: expected one of \('a',\)"),
        ({}, Custom, "input: Custom does not accept it: 'x'"),
        (None, int, "input: expected int, got NoneType None"),
    ],
)
def test_does_not_fit(value: Any, annotation: Any, text: str) -> None:
    with pytest.raises(ConversionError, match=text):
        convert(value, annotation, "input")
