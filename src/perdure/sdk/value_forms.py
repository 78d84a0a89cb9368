"""Values that JSON has no form for, and their tagged form: how each kind becomes plain data and comes back.

The tag is the envelope that custom classes have always used, ``{"__class__", "__module__", "__data__"}``. Values of
the standard library have a fixed entry here; dataclasses, pydantic models, enums, attrs classes and msgspec structs
are told by their shape and found again in modules that are already loaded. Nothing is ever imported to rebuild a value.
"""

from __future__ import annotations

import base64
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import pathlib
import typing
import uuid
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from perdure.sdk.types import EntityId, EntityInstanceId


class Form(typing.NamedTuple):
    """How one class travels: `to_data` gives JSON-able data (nested values may need a form themselves)."""

    to_data: Callable[[Any], Any]
    from_data: Callable[[Any], Any]


def _encode_bytes(value: bytes | bytearray) -> str:
    return base64.b64encode(value).decode("ascii")


def _decode_datetime(text: str) -> datetime.datetime:
    # Python 3.10 reads "+00:00" but not "Z"; what we write never has a "Z", what others write may
    return datetime.datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)


def _from_pairs(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    return {_hashable(key): value for key, value in pairs}


def _hashable(key: Any) -> Any:
    """A tuple used as a key went through JSON as a list."""
    return tuple(_hashable(item) for item in key) if isinstance(key, list) else key


STANDARD_FORMS: dict[type, Form] = {
    datetime.datetime: Form(datetime.datetime.isoformat, _decode_datetime),
    datetime.date: Form(datetime.date.isoformat, datetime.date.fromisoformat),
    datetime.time: Form(datetime.time.isoformat, datetime.time.fromisoformat),
    datetime.timedelta: Form(
        lambda d: [d.days, d.seconds, d.microseconds], lambda p: datetime.timedelta(p[0], p[1], p[2])
    ),
    uuid.UUID: Form(str, uuid.UUID),
    decimal.Decimal: Form(str, decimal.Decimal),
    fractions.Fraction: Form(str, fractions.Fraction),
    complex: Form(lambda c: [c.real, c.imag], lambda p: complex(p[0], p[1])),
    bytes: Form(_encode_bytes, base64.b64decode),
    bytearray: Form(_encode_bytes, lambda text: bytearray(base64.b64decode(text))),
    set: Form(list, lambda items: {_hashable(item) for item in items}),
    frozenset: Form(list, lambda items: frozenset(_hashable(item) for item in items)),
    collections.deque: Form(list, collections.deque),
    pathlib.PurePosixPath: Form(str, pathlib.PurePosixPath),
    pathlib.PureWindowsPath: Form(str, pathlib.PureWindowsPath),
    pathlib.PosixPath: Form(str, pathlib.Path),
    pathlib.WindowsPath: Form(str, pathlib.Path),
    #: dicts with keys that JSON cannot write
    dict: Form(lambda d: [[key, value] for key, value in d.items()], _from_pairs),
    EntityId: Form(lambda e: [e.name, e.key], lambda p: EntityId(p[0], p[1])),
    EntityInstanceId: Form(lambda e: [e.entity, e.key], lambda p: EntityInstanceId(p[0], p[1])),
}
STANDARD_BY_NAME: dict[tuple[str, str], Form] = {
    (cls.__module__, cls.__name__): form for cls, form in STANDARD_FORMS.items()
}


def form_of(cls: type) -> Form | None:
    """The form in which values of `cls` travel, None when there is none."""
    return STANDARD_FORMS.get(cls) or _form_by_shape(cls)


@lru_cache(maxsize=1024)
def _form_by_shape(cls: type) -> Form | None:
    if issubclass(cls, enum.Enum):
        return Form(lambda member: member.value, lambda value: _enum_member(cls, value))
    if dataclasses.is_dataclass(cls):
        return Form(_dataclass_fields, lambda data: _build_dataclass(cls, data))
    if hasattr(cls, "model_validate") and hasattr(cls, "model_fields"):
        return Form(_pydantic_fields, lambda data: _build_pydantic(cls, data))
    if hasattr(cls, "parse_obj") and hasattr(cls, "__fields__"):  # pydantic 1
        construct: Callable[..., Any] = cls.construct  # type: ignore[attr-defined]
        return Form(lambda model: dict(model.__dict__), lambda data: construct(**_by_hints(cls, data)))
    if hasattr(cls, "__struct_fields__"):  # msgspec
        names: tuple[str, ...] = cls.__struct_fields__
        return Form(
            lambda struct: {name: getattr(struct, name) for name in names}, lambda data: cls(**_by_hints(cls, data))
        )
    if hasattr(cls, "__attrs_attrs__"):
        return Form(_attrs_fields, lambda data: _build_attrs(cls, data))
    return None


def _enum_member(cls: type[enum.Enum], value: Any) -> Any:
    try:
        return cls(value)
    except ValueError:
        return cls(_hashable(value))  # a tuple value went through JSON as a list


def _by_hints(cls: type, data: dict[str, Any]) -> dict[str, Any]:
    """Field values brought to their annotated types where JSON has lost them (tuples, int enums, keys of dicts)."""
    from perdure.sdk.typed import ConversionError, convert, hints_of

    hints = hints_of(cls)
    restored = {}
    for name, value in data.items():
        try:
            restored[name] = convert(value, hints.get(name, Any))
        except ConversionError:
            restored[name] = value  # the annotation never held for this value; it comes back as it was
    return restored


def _dataclass_fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if hasattr(value, field.name)}


def _build_dataclass(cls: type, data: dict[str, Any]) -> Any:
    """Exactly the stored fields. `__init__` runs first where it can, for what it sets beside the fields."""
    data = _by_hints(cls, data)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    pseudo_fields = len(cls.__dataclass_fields__) != len(fields)  # type: ignore[attr-defined]  # InitVar, ClassVar
    if pseudo_fields or not cls.__dataclass_params__.init:  # type: ignore[attr-defined]
        value = _with_defaults(cls, fields, data)
    else:
        value = cls(**{name: data[name] for name, field in fields.items() if field.init and name in data})
    for name in fields:
        if name in data:
            object.__setattr__(value, name, data[name])
    return value


def _with_defaults(cls: Any, fields: dict[str, Any], data: dict[str, Any]) -> Any:
    value = cls.__new__(cls)
    for name, field in fields.items():
        if name in data:
            continue
        if field.default is not dataclasses.MISSING:
            object.__setattr__(value, name, field.default)
        elif field.default_factory is not dataclasses.MISSING:
            object.__setattr__(value, name, field.default_factory())
    return value


def _pydantic_fields(model: Any) -> dict[str, Any]:
    data = dict(model.__dict__)
    data.update(model.__pydantic_extra__ or {})
    return data


def _build_pydantic(cls: Any, data: dict[str, Any]) -> Any:
    """Validation by field name; a model that its own validators refuse comes back as it was, unvalidated."""
    try:
        model = cls.model_validate(data, by_name=True, by_alias=True)
    except TypeError:  # pydantic below 2.11 has no such arguments
        try:
            model = cls.model_validate(data)
        except ValueError:
            model = cls.model_construct(**_by_hints(cls, data))
    except ValueError:
        model = cls.model_construct(**_by_hints(cls, data))
    return model


def _attrs_fields(value: Any) -> dict[str, Any]:
    return {attribute.name: getattr(value, attribute.name) for attribute in type(value).__attrs_attrs__}


def _build_attrs(cls: Any, data: dict[str, Any]) -> Any:
    data = _by_hints(cls, data)
    known = {attribute.name: attribute for attribute in cls.__attrs_attrs__}
    value = cls(**{a.alias: data[name] for name, a in known.items() if a.init and name in data})
    for name, attribute in known.items():
        if not attribute.init and name in data:
            object.__setattr__(value, name, data[name])
    return value
