"""Plain JSON to annotated types: `convert`. Used where annotations count (two-argument functions, dialect 2, ...)."""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import inspect
import sys
import types
import typing
from functools import lru_cache
from typing import Any, Literal, Union

_UNIONS: tuple[Any, ...] = (Union, types.UnionType)
_SEQUENCES: dict[Any, type] = {
    list: list,
    set: set,
    frozenset: frozenset,
    collections.deque: collections.deque,
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Iterable: list,
    collections.abc.Collection: list,
    collections.abc.Set: set,
    collections.abc.MutableSet: set,
}
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping, collections.OrderedDict)


class ConversionError(TypeError):
    """A value does not fit the annotation; the text names the place in the value."""


@lru_cache(maxsize=1024)
def hints_of(target: Any) -> dict[str, Any]:
    """The resolved annotations of a class or function; names that cannot be resolved are left out."""
    try:
        return typing.get_type_hints(target, include_extras=True)
    except Exception:  # noqa: BLE001  an annotation is user code and may raise anything; it is decoration then
        return {name: hint for name, hint in _raw_annotations(target).items() if not isinstance(hint, str)}


def _raw_annotations(target: Any) -> dict[str, Any]:
    if sys.version_info >= (3, 14):
        import annotationlib

        return dict(annotationlib.get_annotations(target, format=annotationlib.Format.FORWARDREF))
    else:  # noqa: RET505  the type checker takes what follows a version test for unreachable
        return dict(inspect.get_annotations(target))


def convert(value: Any, annotation: Any, where: str = "value") -> Any:
    """`value`, which came from JSON, as an instance of `annotation`.

    Unknown annotations accept everything. Raises `ConversionError` with the path in the value when it does not fit.
    """
    if annotation is Any or annotation is inspect.Parameter.empty or isinstance(annotation, (str, typing.TypeVar)):
        return value
    if annotation is None or annotation is type(None):
        return _expect(value is None, value, None, "None", where)
    origin = typing.get_origin(annotation)
    if origin is None:
        return _convert_to_class(value, annotation, where) if isinstance(annotation, type) else value
    arguments = typing.get_args(annotation)
    if origin is typing.Annotated:
        return convert(value, arguments[0], where)
    if origin in _UNIONS:
        return _convert_to_union(value, arguments, where)
    if origin is Literal:
        return _expect(value in arguments, value, value, f"one of {arguments!r}", where)
    if origin is tuple:
        return _convert_to_tuple(value, arguments, where)
    if origin in _SEQUENCES:
        return _convert_items(value, _SEQUENCES[origin], arguments[0], where)
    if origin in _MAPPINGS:
        return _convert_mapping(value, arguments, where)
    if isinstance(origin, type) and not getattr(origin, "__abstractmethods__", None):
        return _convert_to_class(value, origin, where)
    return value


def _expect(fits: bool, value: Any, result: Any, expected: str, where: str) -> Any:
    if not fits:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        raise ConversionError(f"{where}: expected {expected}, got {type(value).__name__} {shown}")
    return result


def _convert_to_union(value: Any, arguments: tuple[Any, ...], where: str) -> Any:
    if value is None and type(None) in arguments:
        return None
    choices = [choice for choice in arguments if choice is not type(None)]
    for choice in choices:
        if isinstance(choice, type) and type(value) is choice:
            return value
    failure: ConversionError | None = None
    for choice in choices:
        try:
            return convert(value, choice, where)
        except ConversionError as error:
            failure = failure or error
    if failure is not None and len(choices) == 1:
        raise failure
    names = " or ".join(getattr(choice, "__name__", str(choice)) for choice in arguments)
    return _expect(False, value, None, names, where)


def _convert_to_tuple(value: Any, arguments: tuple[Any, ...], where: str) -> Any:
    _expect(isinstance(value, (list, tuple)), value, None, "a list", where)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(convert(item, arguments[0], f"{where}[{i}]") for i, item in enumerate(value))
    arguments = () if arguments == ((),) else arguments
    _expect(len(value) == len(arguments), value, None, f"{len(arguments)} items", where)
    return tuple(convert(item, kind, f"{where}[{i}]") for i, (item, kind) in enumerate(zip(value, arguments)))  # noqa: B905


def _convert_items(value: Any, build: type, kind: Any, where: str) -> Any:
    fits = isinstance(value, (list, tuple, set, frozenset, collections.deque))
    _expect(fits, value, None, "a list", where)
    return build(convert(item, kind, f"{where}[{i}]") for i, item in enumerate(value))


def _convert_mapping(value: Any, arguments: tuple[Any, ...], where: str) -> Any:
    _expect(isinstance(value, dict), value, None, "an object", where)
    key_kind, item_kind = arguments
    return {
        _convert_key(key, key_kind, where): convert(item, item_kind, f"{where}.{key}") for key, item in value.items()
    }


def _convert_key(key: Any, kind: Any, where: str) -> Any:
    """JSON has only text keys: numbers come back from their text."""
    if isinstance(key, str) and kind in (int, float):
        try:
            return kind(key)
        except ValueError:
            pass
    return convert(key, kind, f"{where} (a key)")


def _convert_to_class(value: Any, cls: type, where: str) -> Any:
    if typing.is_typeddict(cls):
        return _convert_typed_dict(value, cls, where)
    if isinstance(value, cls):
        return value
    if cls is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if cls is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if callable(getattr(cls, "from_json", None)):
        return _built(cls, cls.from_json, value, where)  # type: ignore[attr-defined]
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _convert_named_tuple(value, cls, where)
    if dataclasses.is_dataclass(cls) or hasattr(cls, "__struct_fields__") or hasattr(cls, "__attrs_attrs__"):
        return _convert_record(value, cls, where)
    if hasattr(cls, "model_validate"):
        return _built(cls, cls.model_validate, value, where)
    if hasattr(cls, "parse_obj"):
        return _built(cls, cls.parse_obj, value, where)
    if issubclass(cls, enum.Enum):
        return _convert_enum(value, cls, where)
    return _convert_by_form(value, cls, where)


def _built(cls: type, build: Any, value: Any, where: str) -> Any:
    try:
        return build(value)
    except Exception as error:  # whatever user code raises on a value that does not fit
        raise ConversionError(f"{where}: {cls.__name__} does not accept it: {error}") from error


def _convert_enum(value: Any, cls: type[enum.Enum], where: str) -> Any:
    try:
        return cls(tuple(value) if isinstance(value, list) else value)
    except ValueError:
        values = ", ".join(repr(member.value) for member in cls)
        return _expect(False, value, None, f"a value of {cls.__name__} ({values})", where)


def _convert_typed_dict(value: Any, cls: type, where: str) -> Any:
    _expect(isinstance(value, dict), value, None, f"an object ({cls.__name__})", where)
    missing = sorted(cls.__required_keys__ - value.keys())  # type: ignore[attr-defined]
    if missing:
        raise ConversionError(f"{where}: {cls.__name__} needs {', '.join(missing)}")
    hints = {name: _unwrap_required(hint) for name, hint in hints_of(cls).items()}
    return {key: convert(item, hints.get(key, Any), f"{where}.{key}") for key, item in value.items()}


def _unwrap_required(hint: Any) -> Any:
    name = getattr(typing.get_origin(hint), "_name", "")
    return typing.get_args(hint)[0] if name in ("Required", "NotRequired", "ReadOnly") else hint


def _convert_named_tuple(value: Any, cls: Any, where: str) -> Any:
    hints = hints_of(cls)
    if isinstance(value, dict):
        return cls(**{name: convert(item, hints.get(name, Any), f"{where}.{name}") for name, item in value.items()})
    _expect(isinstance(value, (list, tuple)), value, None, f"a list ({cls.__name__})", where)
    _expect(len(value) <= len(cls._fields), value, None, f"{len(cls._fields)} items ({cls.__name__})", where)
    pairs = zip(cls._fields, value)  # noqa: B905
    return _built(
        cls, lambda items: cls(*items), [convert(v, hints.get(n, Any), f"{where}.{n}") for n, v in pairs], where
    )


def _convert_record(value: Any, cls: Any, where: str) -> Any:
    """A dataclass, attrs class or msgspec struct from an object; keys that it does not know are dropped."""
    _expect(isinstance(value, dict), value, None, f"an object ({cls.__name__})", where)
    hints = hints_of(cls)
    if hasattr(cls, "__attrs_attrs__"):
        names = {attribute.name: attribute.alias for attribute in cls.__attrs_attrs__ if attribute.init}
    elif dataclasses.is_dataclass(cls):
        names = {field.name: field.name for field in dataclasses.fields(cls) if field.init}
    else:
        names = {name: name for name in cls.__struct_fields__}
    fields = {
        argument: convert(value[name], hints.get(name, Any), f"{where}.{name}")
        for name, argument in names.items()
        if name in value
    }
    return _built(cls, lambda given: cls(**given), fields, where)


def _convert_by_form(value: Any, cls: type, where: str) -> Any:
    """Values of the standard library from what people write in JSON for them: ISO times, texts, lists."""
    from perdure.sdk.value_forms import STANDARD_FORMS

    form = STANDARD_FORMS.get(cls)
    if form is None or value is None or cls in (str, int, float, bool, dict, list):
        return _expect(False, value, None, cls.__name__, where)
    try:
        return form.from_data(value)
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError):
        return _expect(False, value, None, cls.__name__, where)
