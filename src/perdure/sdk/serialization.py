"""Payloads: Python values <-> JSON text, by the published rules and beyond them (sdk-api.md section 7).

Plain values take the C encoder and decoder and nothing else. Objects with `to_json` travel in the published envelope,
other values that JSON has no form for in the same envelope by their own form (`value_forms`). Strict typing, when its
environment variable is set, holds as published.
"""

from __future__ import annotations

import fnmatch
import json
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from perdure.sdk.typed import convert
from perdure.sdk.value_forms import STANDARD_BY_NAME, STANDARD_FORMS, Form, form_of

STRICT_VARIABLE = "AZURE_FUNCTIONS_DURABLE_STRICT_TYPING"
_TRUE = frozenset({"1", "true", "yes"})
_ENVELOPE = frozenset({"__class__", "__module__", "__data__"})
_MARK = '"__class__"'

logger = logging.getLogger("azure.functions.DurableFunctions")


class UnserializableError(TypeError):
    """A value that has no JSON form; the text begins with its path, such as ``result.items[3].owner: Lock``."""


def is_strict() -> bool:
    """Whether strict typing is switched on by the environment."""
    return os.environ.get(STRICT_VARIABLE, "").strip().lower() in _TRUE


_trusted: tuple[str, ...] = ()


def trust_only(patterns: tuple[str, ...]) -> None:
    """Narrow which custom classes may be rebuilt: ``module.Class`` patterns with ``*``. None given: all loaded ones."""
    global _trusted
    _trusted = patterns


# ---------------------------------------------------------------- writing


def dumps(value: Any, root: str = "value") -> str:
    """The JSON text of `value`; `root` names it in errors.

    Raises `UnserializableError` with the path of what cannot be written, `ValueError` for a circular value.
    """
    kind = type(value)
    if kind is str:
        return _encode_text(value)
    if value is None:
        return "null"
    if kind is int:
        return int.__repr__(value)
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError):
        # the exact writer below says where, and knows a form for keys that JSON has none for
        return json.dumps(_plain(value, root, (), strict=is_strict()))


def _to_envelope(value: Any) -> dict[str, Any]:
    """Hook of the encoder: the envelope of a value that JSON has no form for."""
    cls = type(value)
    form = STANDARD_FORMS.get(cls)
    if form is None:
        if is_strict():
            raise TypeError  # the exact writer decides and explains
        if hasattr(value, "to_json"):
            return _published_envelope(value)
        form = form_of(cls)
        if form is None:
            raise TypeError
    return {"__class__": cls.__qualname__, "__module__": cls.__module__, "__data__": form.to_data(value)}


def _published_envelope(value: Any) -> dict[str, Any]:
    # through the type: serves methods and static methods alike
    cls = type(value)
    return {"__class__": cls.__name__, "__module__": value.__module__, "__data__": cls.to_json(value)}


_encode = json.JSONEncoder(default=_to_envelope).encode
_encode_text = json.encoder.encode_basestring_ascii
_DEEPEST = 250
_PLAIN_KEYS = (str, int, float, bool, type(None))


def _plain(value: Any, path: str, parents: tuple[int, ...], *, strict: bool, top: bool = True) -> Any:
    """`value` as a tree of plain JSON values; the slow and exact way, which knows where it stands."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if id(value) in parents:
        raise ValueError(f"{path}: Circular reference detected: the value contains itself")
    if len(parents) > _DEEPEST:
        raise UnserializableError(f"{path[:120]}...: the value is nested too deeply for JSON")
    inside = (*parents, id(value))

    def below(item: Any, place: str) -> Any:
        return _plain(item, place, inside, strict=strict, top=False)

    if isinstance(value, (list, tuple)):
        return [below(item, f"{path}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, dict):
        if all(isinstance(key, _PLAIN_KEYS) for key in value):
            return {key: below(item, _member(path, key)) for key, item in value.items()}
        return _standard_envelope(
            dict, [[below(k, f"{path} (a key)"), below(v, _member(path, k))] for k, v in value.items()]
        )
    cls = type(value)
    form = STANDARD_FORMS.get(cls)
    if form is not None:
        return _standard_envelope(cls, below(form.to_data(value), path))
    if strict and not top:
        raise UnserializableError(
            f"{path}: {_name(cls)}. Object of type {cls.__name__} is not JSON serializable inside another object "
            f"under strict typing ({STRICT_VARIABLE}): its to_json must return plain values"
        )
    if hasattr(value, "to_json"):
        envelope = _published_envelope(value)
        return {**envelope, "__data__": below(envelope["__data__"], path)}
    form = form_of(cls)
    if form is None:
        raise UnserializableError(
            f"{path}: {_name(cls)}. Object of type {cls.__name__} is not JSON serializable: class {cls} does not "
            "expose a `to_json` function. Pass plain data, a dataclass, or give the class to_json and from_json"
        )
    data = form.to_data(value)
    if isinstance(data, dict):
        written: Any = {key: below(item, _member(path, key)) for key, item in data.items()}
    else:
        written = below(data, path)
    return {"__class__": cls.__qualname__, "__module__": cls.__module__, "__data__": written}


def _standard_envelope(cls: type, data: Any) -> dict[str, Any]:
    return {"__class__": cls.__name__, "__module__": cls.__module__, "__data__": data}


def _member(path: str, key: Any) -> str:
    return f"{path}.{key}" if isinstance(key, str) and key.isidentifier() else f"{path}[{key!r}]"


def _name(cls: type) -> str:
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


# ---------------------------------------------------------------- reading


def loads(text: str, expected_type: Any = None) -> Any:
    """The value of a JSON text; envelopes are rebuilt, `expected_type` is a hint that only strict typing enforces.

    Raises `json.JSONDecodeError` when it is no JSON, `TypeError` for None, and as published for envelopes whose class
    cannot be had: `ValueError` (module not loaded), `AttributeError` (no such class), `TypeError` (no `from_json`).
    """
    if expected_type is not None:
        return _loads_expecting(text, expected_type)
    if _MARK not in text:
        return _decode(text)
    if is_strict():
        raw = json.loads(text)
        if _is_custom(raw):
            raise TypeError(
                "df_loads: strict mode requires expected_type to deserialize custom-object payloads, but none was "
                f"provided. Payload declares {raw['__module__']}.{raw['__class__']}."
            )
        return json.loads(text, object_hook=_rebuild_standard)
    return json.loads(text, object_hook=_rebuild)


def _decode(text: str) -> Any:
    return json.loads(text)


def _is_custom(raw: Any) -> bool:
    """Whether this is the envelope of a class that is not of the standard library's forms."""
    return isinstance(raw, dict) and raw.keys() >= _ENVELOPE and _standard_form(raw) is None


def _standard_form(envelope: dict[str, Any]) -> Form | None:
    module, name = envelope["__module__"], envelope["__class__"]
    return STANDARD_BY_NAME.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None


def _rebuild_standard(raw: dict[str, Any]) -> Any:
    if raw.keys() >= _ENVELOPE:
        form = _standard_form(raw)
        if form is not None:
            return form.from_data(raw["__data__"])
    return raw


def _rebuild(raw: dict[str, Any]) -> Any:
    """Hook of the decoder: the object of an envelope, any other dict as it is."""
    if not raw.keys() >= _ENVELOPE:
        return raw
    form = _standard_form(raw)
    if form is not None:
        return form.from_data(raw["__data__"])
    return _builder_of(_loaded_class(raw["__module__"], raw["__class__"]))(raw["__data__"])


def _loaded_class(module_name: str, class_name: str) -> type:
    module = sys.modules.get(module_name)
    if module is None:
        raise ValueError(f"cannot deserialize custom object: module {module_name!r} is not loaded in sys.modules")
    found: Any = module
    for part in class_name.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise AttributeError(
            f"cannot deserialize custom object: class {class_name!r} not found in module {module_name!r}"
        )
    if _trusted and not any(fnmatch.fnmatchcase(f"{module_name}.{class_name}", pattern) for pattern in _trusted):
        raise ValueError(
            f"cannot deserialize custom object: {module_name}.{class_name} is not listed in the setting trustedClasses"
        )
    cls: type = found
    return cls


def _builder_of(cls: Any) -> Callable[[Any], Any]:
    if hasattr(cls, "from_json"):
        builder: Callable[[Any], Any] = cls.from_json
        return builder
    form = form_of(cls) if isinstance(cls, type) and not hasattr(cls, "to_json") else None
    if form is None:
        raise TypeError(f"class {cls} does not expose a `from_json` function")
    return form.from_data


def _loads_expecting(text: str, expected_type: Any) -> Any:
    raw = json.loads(text)
    strict = is_strict()
    if _is_custom(raw):
        declared = f"{raw['__module__']}.{raw['__class__']}"
        wanted = f"{getattr(expected_type, '__module__', '')}.{getattr(expected_type, '__qualname__', expected_type)}"
        if declared != wanted:
            _complain(f"df_loads: payload declares class {declared} but expected {wanted}", strict=strict)
        if strict:
            if not (callable(getattr(expected_type, "from_json", None)) or form_of(expected_type)):
                raise TypeError(f"df_loads: expected_type {wanted} does not expose from_json")
            return _builder_of(expected_type)(json.loads(text, object_hook=_rebuild_standard)["__data__"])
        return json.loads(text, object_hook=_rebuild)
    value = raw
    if _MARK in text:
        value = json.loads(text, object_hook=_rebuild_standard if strict else _rebuild)
    if not _is_instance(value, expected_type):
        _complain(
            f"df_loads: deserialized value ({type(value).__name__}) is not compatible with expected type "
            f"{expected_type}",
            strict=strict,
        )
    return value


def _complain(text: str, *, strict: bool) -> None:
    if strict:
        raise TypeError(text)
    logger.warning(text)


def _is_instance(value: Any, expected_type: Any) -> bool:
    try:
        return isinstance(value, expected_type)
    except TypeError:  # list[int] and the like are no types to isinstance
        return True


# ---------------------------------------------------------------- inputs of orchestrations


def stored_input(text: str | None, dialect: int = 1) -> str | None:
    """The stored form of an orchestration's input, of which `text` is the JSON text; None for none.

    SDK 1.x stores what its client, parents and continue-as-new give encoded twice, which users see as text in
    ``status.input_`` and in the HTTP API; dialect 2 stores it once.
    """
    if text is None or text == "null":
        return None
    return _encode_text(text) if dialect == 1 else text


def net_input(stored: str | None, dialect: int = 1) -> str | None:
    """The JSON text behind a stored input, however often that was encoded: starts over HTTP are encoded once."""
    if stored is None or dialect != 1 or not stored.startswith('"'):
        return stored
    inner: str = json.loads(stored)
    try:
        json.loads(inner)
    except json.JSONDecodeError:
        return stored  # a text posted over HTTP
    return inner


# ---------------------------------------------------------------- activities


def decode_activity_input(text: str | None, annotation: Any = None, *, typed: bool = False) -> Any:
    """What an activity gets: the decoded input, or the text itself when it is no JSON.

    With `typed` the value is converted to `annotation`. Raises `ValueError` when an envelope cannot be rebuilt,
    `ConversionError` when the value does not fit the annotation.
    """
    if text is None:
        value = None
    else:
        try:
            value = loads(text)
        except json.JSONDecodeError:
            value = text
        except Exception as error:  # user code in from_json may raise anything
            raise ValueError(
                f"activity trigger input must be a string or a valid json serializable ({_shortened(text)}): {error}"
            ) from error
    return convert(value, annotation, "input") if typed and annotation is not None else value


def encode_activity_result(value: Any) -> str | None:
    """The JSON text of an activity's result, None for None. Raises `ValueError` when it cannot be written."""
    if value is None:
        return None
    try:
        return dumps(value, "result")
    except TypeError as error:
        raise ValueError(
            f"activity trigger output must be json serializable ({_shortened(repr(value))}): {error}"
        ) from error


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "..."
