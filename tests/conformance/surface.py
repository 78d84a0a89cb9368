"""Prints the surface of `azure.durable_functions` as JSON: modules, names, members, parameters, enum values.

`python surface.py` prints that of the published package, `python surface.py perdure` that of this project.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import json
import pkgutil
import sys
import warnings
from types import FunctionType, ModuleType
from typing import Any

ROOT = "azure.durable_functions"


def parameters(function: Any) -> list[dict[str, Any]] | None:
    """Name, kind and default of every parameter; None where Python does not tell."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    return [
        {
            "name": p.name,
            "kind": p.kind.name,
            "default": None if p.default is p.empty else repr(p.default),
        }
        for p in signature.parameters.values()
    ]


def member(owner: type, name: str) -> dict[str, Any]:
    """What a class member is."""
    found = inspect.getattr_static(owner, name)
    if isinstance(found, property):
        return {"kind": "property", "settable": found.fset is not None}
    if isinstance(found, (FunctionType, classmethod, staticmethod)):
        function = getattr(owner, name)
        kind = {classmethod: "class method", staticmethod: "static method"}.get(type(found), "method")
        awaited = inspect.iscoroutinefunction(inspect.unwrap(function))
        return {"kind": kind, "parameters": parameters(function), "coroutine": awaited}
    return {"kind": "attribute"}


def described(value: Any) -> dict[str, Any]:
    """What a public name is."""
    if isinstance(value, type) and issubclass(value, enum.Enum):
        return {"kind": "enum", "values": {item.name: item.value for item in value}, "int": issubclass(value, int)}
    if isinstance(value, type):
        own = [base for base in value.__mro__ if base.__module__.startswith((ROOT, "perdure"))]
        names = {name for base in own for name in vars(base) if not name.startswith("_")}
        return {
            "kind": "class",
            "parameters": parameters(value),
            "members": {name: member(value, name) for name in sorted(names)},
        }
    if callable(value):
        return {"kind": "function", "parameters": parameters(value), "coroutine": inspect.iscoroutinefunction(value)}
    return {"kind": "value", "value": value if isinstance(value, (str, int)) else None}


def public(module: ModuleType) -> dict[str, Any]:
    """The public names of a module: what it lists, else what the package defines and it shows."""
    listed = getattr(module, "__all__", None)
    names = listed if listed is not None else [name for name in vars(module) if not name.startswith("_")]
    shown = {}
    for name in sorted(names):
        value = getattr(module, name)
        home = getattr(value, "__module__", ROOT if isinstance(value, str) else "")
        if isinstance(value, ModuleType) or not home.startswith(ROOT):
            continue
        shown[name] = described(value)
    return shown


def main() -> None:
    """Print the surface."""
    warnings.simplefilter("ignore")
    if sys.argv[1:] == ["perdure"]:
        import perdure  # noqa: F401  from here on the package is ours

        wanted = json.load(sys.stdin)
        found = {}
        for path, names in wanted.items():
            module = importlib.import_module(path)
            found[path] = {name: described(getattr(module, name)) for name in names if hasattr(module, name)}
        print(json.dumps(found))
        return
    package = importlib.import_module(ROOT)
    modules = [ROOT, *(info.name for info in pkgutil.walk_packages(package.__path__, ROOT + "."))]
    kept = [name for name in modules if not name.startswith(f"{ROOT}.openai_agents")]
    print(json.dumps({name: public(importlib.import_module(name)) for name in kept}))


if __name__ == "__main__":
    main()
