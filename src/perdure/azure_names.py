"""The import finder that serves `azure.durable_functions` and all its submodules from here.

It wins over an installed azure-functions-durable; the namespace package `azure` and everything beside it stay as they
are. Modules are made at once and hold nothing: names are looked up in `perdure.sdk.names` when they are first used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

from perdure.sdk.names import HOME, MODULES, ONLY_IN_2, TOP_LEVEL_1X

# no typing, importlib.abc or the like at run time: this loads with every command
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

ROOT = "azure.durable_functions"
_PACKAGES = {path.rpartition(".")[0] for path in MODULES if path}

#: names of SDK 2.0 that somebody looked up under the published package
touched_2: set[str] = set()


def resolve(name: str) -> Any:
    """The object behind a public name. Raises `AttributeError` for any other name."""
    home = HOME.get(name)
    if home is None:
        raise AttributeError(name)
    return getattr(import_module(home), name)


class PublishedModule(ModuleType):
    """One module of the published package."""

    def __getattr__(self, name: str) -> Any:
        path: str = self.__dict__.get("_path", "")
        below = None if name in MODULES[path] else sys.modules.get(f"{self.__name__}.{name}")
        if below is not None:
            value: Any = below
        elif name in MODULES[path] or (path and name in HOME):
            # the second: published modules also show what they import from each other
            if not path and name in ONLY_IN_2:
                touched_2.add(name)
            value = resolve(name)
        else:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self.__dict__[name] = value
        return value

    def __dir__(self) -> list[str]:
        prefix = f"{self.__name__}."
        below = [name[len(prefix) :] for name in sys.modules if name.startswith(prefix)]
        return sorted({*super().__dir__(), *MODULES[self._path], *(name for name in below if "." not in name)})


class _Loader:
    """Makes the published modules."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return PublishedModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        path = module.__name__[len(ROOT) + 1 :]
        module.__dict__["_path"] = path
        # a star import is no sign of 2.0, so it gives what 1.7 gives
        module.__dict__["__all__"] = list(MODULES[path] if path else TOP_LEVEL_1X)
        if path in _PACKAGES:
            module.__path__ = []
        if not path:
            self._make_submodules()

    def _make_submodules(self) -> None:
        """All at once, so that no later import binds a submodule over the class of the same name in its parent."""
        for path in MODULES:
            name = f"{ROOT}.{path}"
            if path and name not in sys.modules:
                module = PublishedModule(name)
                module.__spec__ = ModuleSpec(name, self, is_package=path in _PACKAGES)  # type: ignore[arg-type]
                module.__package__ = module.__spec__.parent
                sys.modules[name] = module
                self.exec_module(module)


class AzureNames:
    """Finds the published package and its submodules."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module of the published package, None for all others."""
        if not fullname.startswith(ROOT):
            return None
        below = fullname[len(ROOT) + 1 :]
        if (fullname != ROOT and fullname[len(ROOT)] != ".") or below not in MODULES:
            return None
        return ModuleSpec(fullname, _Loader(), is_package=below in _PACKAGES)  # type: ignore[arg-type]


def install() -> None:
    """Serve `azure.durable_functions` from here from now on; modules of another distribution are forgotten."""
    if not any(isinstance(finder, AzureNames) for finder in sys.meta_path):
        sys.meta_path.insert(0, AzureNames())
    loaded = sys.modules.get(ROOT)
    if loaded is not None and not isinstance(loaded, PublishedModule):
        for name in [name for name in sys.modules if name == ROOT or name.startswith(ROOT + ".")]:
            del sys.modules[name]
        azure = sys.modules.get("azure")
        if azure is not None and getattr(azure, "durable_functions", None) is loaded:
            del azure.durable_functions
