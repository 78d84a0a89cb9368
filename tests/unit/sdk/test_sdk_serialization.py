"""Payload rules of sdk-api.md section 7 and of the value forms beyond it."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import json
import math
import threading
import uuid
from dataclasses import InitVar, dataclass, field
from typing import Any, NamedTuple

import msgspec
import pytest

from perdure.sdk import serialization
from perdure.sdk.serialization import (
    UnserializableError,
    decode_activity_input,
    dumps,
    encode_activity_result,
    loads,
)
from perdure.sdk.types import EntityId, EntityInstanceId

UTC = datetime.timezone.utc


class Point:
    def __init__(self, x: int, y: Any) -> None:
        self.x, self.y = x, y

    def to_json(self) -> dict[str, Any]:
        return {"x": self.x, "y": self.y}

    @staticmethod
    def from_json(data: dict[str, Any]) -> Point:
        return Point(data["x"], data["y"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and (self.x, self.y) == (other.x, other.y)


class TextPoint:
    """The other published style: static methods, JSON text as data."""

    def __init__(self, x: int) -> None:
        self.x = x

    @staticmethod
    def to_json(value: TextPoint) -> str:
        return json.dumps({"x": value.x})

    @classmethod
    def from_json(cls, text: str) -> TextPoint:
        return cls(json.loads(text)["x"])


class WriteOnly:
    def to_json(self) -> int:
        return 1


class Plain(enum.Enum):
    RED = "r"
    PAIR = (1, 2)


class Number(enum.IntEnum):
    ONE = 1


class Text(str, enum.Enum):
    A = "a"


class Pair(NamedTuple):
    a: int
    b: str


@dataclass(frozen=True)
class Inner:
    when: datetime.datetime
    kind: Plain
    level: Number = Number.ONE
    where: tuple[int, ...] = ()
    by_number: dict[int, str] = field(default_factory=dict)


@dataclass
class Outer:
    inner: Inner
    many: list[Inner]
    extra: Any = None
    computed: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.computed += 1
        self.cache: dict[str, int] = {}


@dataclass
class WithInitVar:
    a: int
    seed: InitVar[int]
    b: int = 0

    def __post_init__(self, seed: int) -> None:
        self.b = self.a + seed


class Record(msgspec.Struct):
    a: int
    when: datetime.date


class Holder:
    class Nested(enum.Enum):
        X = 1


INNER = Inner(datetime.datetime(2024, 2, 29, 12, 0, 1, 5, UTC), Plain.PAIR, Number.ONE, (1, 2), {1: "a"})

THEMSELVES = [
    None,
    True,
    0,
    -3,
    2**80,
    1.5,
    "",
    'quote " \\ \n é \u2028 \ud800 🎉',
    [],
    {},
    [1, [2, {"a": None}]],
    {"": 1, "__class__": "x"},
    datetime.datetime(2024, 1, 1, 1, 2, 3, 4, UTC),
    datetime.datetime(2024, 1, 1),
    datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=-5, minutes=-30))),
    datetime.date(2024, 1, 1),
    datetime.time(1, 2, 3),
    datetime.timedelta(days=-1, microseconds=7),
    uuid.UUID(int=5),
    decimal.Decimal("1.10"),
    complex(1, -2),
    b"\x00\xff",
    bytearray(b"ab"),
    {1, 2},
    {(1, 2), (3, 4)},
    frozenset({"a"}),
    collections.deque([1, 2]),
    {uuid.UUID(int=1): {"a": {(1, 2): b"x"}}},
    {Plain.RED: 1},
    Plain.RED,
    Plain.PAIR,
    Holder.Nested.X,
    INNER,
    Outer(INNER, [INNER, INNER], {"deep": [INNER, {INNER.when}]}),
    Record(1, datetime.date(2024, 1, 2)),
    Point(1, [Point(2, None), {"p": Point(3, datetime.date(2024, 1, 1))}]),
    EntityId("Counter", "a"),
    EntityInstanceId("counter", "a"),
]


@pytest.mark.parametrize("value", THEMSELVES, ids=lambda value: type(value).__name__)
def test_value_comes_back_as_itself(value: Any) -> None:
    back = loads(dumps(value))
    assert back == value
    assert type(back) is type(value)
    assert loads(dumps({"deep": [value]})) == {"deep": [value]}


@pytest.mark.parametrize("value", [*THEMSELVES[:12], 1.5e300, math.inf, {2: 1, None: 3, True: 4, 1.5: 0}, (1, (2,))])
def test_plain_values_are_written_exactly_as_json_dumps_does(value: Any) -> None:
    assert dumps(value) == json.dumps(value)


def test_what_1x_flattens_stays_flat() -> None:
    """(=) int and str enums as plain values, tuples and named tuples as lists, keys as text."""
    assert dumps([Number.ONE, Text.A, (1, 2), Pair(1, "b"), {1: "x"}]) == '[1, "a", [1, 2], [1, "b"], {"1": "x"}]'


def test_published_envelope() -> None:
    assert json.loads(dumps(Point(1, 2))) == {
        "__class__": "Point",
        "__module__": __name__,
        "__data__": {"x": 1, "y": 2},
    }
    text = dumps([TextPoint(7)])
    assert json.loads(text)[0]["__data__"] == '{"x": 7}'
    assert loads(text)[0].x == 7


def test_envelope_drops_extra_keys_and_is_found_at_any_depth() -> None:
    envelope = {"__class__": "Point", "__module__": __name__, "__data__": {"x": 1, "y": 2}, "more": 1}
    assert loads(json.dumps({"a": [envelope]})) == {"a": [Point(1, 2)]}


def test_dataclass_init_runs_once_and_fields_are_exact() -> None:
    value = Outer(INNER, [])
    value.computed = 41
    back = loads(dumps(value))
    assert (back.computed, back.cache) == (41, {})
    odd = WithInitVar(1, seed=5)
    assert loads(dumps(odd)) == odd
    wrong = Outer("not an Inner", None)  # type: ignore[arg-type]
    assert loads(dumps(wrong)) == wrong


def test_dataclass_field_added_later_gets_its_default() -> None:
    text = dumps(INNER)
    data = json.loads(text)
    del data["__data__"]["by_number"]
    assert loads(json.dumps(data)).by_number == {}


def test_pydantic_models_come_back() -> None:
    pydantic = pytest.importorskip("pydantic")

    class Model(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        a: int
        tags: tuple[str, ...] = ()
        when: datetime.datetime

    globals()["Model"] = Model
    Model.__qualname__ = "Model"
    value = Model(a=1, tags=("x",), when=datetime.datetime(2024, 1, 1, tzinfo=UTC))
    assert loads(dumps({"m": value})) == {"m": value}


@pytest.mark.parametrize(
    ("envelope", "error", "text"),
    [
        (("no_such_module", "X"), ValueError, "module 'no_such_module' is not loaded in sys.modules"),
        ((__name__, "Missing"), AttributeError, "class 'Missing' not found in module"),
        ((__name__, "WriteOnly"), TypeError, "does not expose a `from_json` function"),
        (("subprocess", "Popen"), TypeError, "does not expose a `from_json` function"),
    ],
)
def test_envelopes_that_cannot_be_rebuilt(envelope: tuple[str, str], error: type, text: str) -> None:
    payload = json.dumps({"__module__": envelope[0], "__class__": envelope[1], "__data__": []})
    with pytest.raises(error, match=text):
        loads(payload)


def test_reading_what_is_no_json() -> None:
    with pytest.raises(json.JSONDecodeError):
        loads("{")
    with pytest.raises(TypeError):
        loads(None)  # type: ignore[arg-type]


def test_unserialisable_value_fails_with_its_path() -> None:
    lock = threading.Lock()
    with pytest.raises(UnserializableError) as caught:
        dumps({"items": [1, 2, 3, {"owner": lock}]}, "result")
    assert str(caught.value).startswith("result.items[3].owner: _thread.lock. ")
    assert "Object of type lock is not JSON serializable" in str(caught.value)
    assert "does not expose a `to_json` function" in str(caught.value)
    with pytest.raises(TypeError, match=r"^result\.extra\['a b'\]\.y\[0\]: object\. "):
        dumps(Outer(INNER, [], {"a b": Point(1, [object()])}), "result")


def test_circular_and_bottomless_values() -> None:
    loop: dict[str, Any] = {}
    loop["a"] = [loop]
    with pytest.raises(ValueError, match=r"^input\.a\[0\]: Circular reference detected"):
        dumps(loop, "input")
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(TypeError, match="nested too deeply"):
        dumps(deep)


def test_error_inside_to_json_is_the_users_own() -> None:
    class Broken:
        def to_json(self) -> Any:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        dumps([Broken()])


def test_expected_type_is_a_hint_in_loose_mode(caplog: pytest.LogCaptureFixture) -> None:
    assert loads('{"x": 1}', Point) == {"x": 1}
    assert "not compatible with expected type" in caplog.text
    caplog.clear()
    assert loads(dumps(Point(1, 2)), Inner) == Point(1, 2)
    assert "payload declares class" in caplog.text
    caplog.clear()
    assert loads("[1]", list[int]) == [1]
    assert loads(dumps(Point(1, 2)), Point) == Point(1, 2)
    assert caplog.text == ""


def test_strict_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(serialization.STRICT_VARIABLE, " Yes ")
    top = dumps(Point(1, 2))
    assert loads(top, Point) == Point(1, 2)
    record = Record(1, datetime.date(2024, 1, 1))
    assert loads(dumps(record), Record) == record
    with pytest.raises(TypeError, match="strict mode requires expected_type"):
        loads(top)
    with pytest.raises(TypeError, match="payload declares class"):
        loads(top, TextPoint)
    with pytest.raises(TypeError, match="not compatible with expected type"):
        loads("1", str)
    with pytest.raises(TypeError, match=r"^value\[0\]: .*under strict typing"):
        dumps([Point(1, 2)])
    with pytest.raises(TypeError, match=r"^value\.y: "):
        dumps(Point(1, Point(2, 3)))
    day = datetime.date(2024, 1, 1)
    assert loads(dumps([day])) == [day]


def test_trusted_classes_narrow_what_is_rebuilt() -> None:
    serialization.trust_only(("somewhere.*", f"{__name__}.Po*"))
    try:
        assert loads(dumps([Point(1, 2), datetime.date(2024, 1, 1)])) == [Point(1, 2), datetime.date(2024, 1, 1)]
        with pytest.raises(ValueError, match="is not listed in the setting trustedClasses"):
            loads(dumps(TextPoint(1)))
        with pytest.raises(ValueError, match="trustedClasses"):
            loads(dumps(Plain.RED))
    finally:
        serialization.trust_only(())


def test_activity_input() -> None:
    assert decode_activity_input(None) is None
    assert decode_activity_input("null") is None
    assert decode_activity_input('"5"') == "5"
    assert decode_activity_input("not json") == "not json"
    with pytest.raises(ValueError, match="activity trigger input must be a string or a valid json serializable"):
        decode_activity_input('{"__class__": "A", "__module__": "nope", "__data__": 1}')
    assert decode_activity_input('"2024-01-01"', datetime.date) == "2024-01-01"
    assert decode_activity_input('"2024-01-01"', datetime.date, typed=True) == datetime.date(2024, 1, 1)


def test_activity_result() -> None:
    assert encode_activity_result(None) is None
    assert encode_activity_result(False) == "false"
    with pytest.raises(ValueError, match=r"activity trigger output must be json serializable .*result\.a: object\."):
        encode_activity_result({"a": object()})
