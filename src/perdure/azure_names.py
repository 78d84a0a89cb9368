"""The import finder that serves `azure.durable_functions` and all its submodules from here.

It wins over an installed azure-functions-durable; the namespace package `azure` and everything beside it stay as they
are. Modules are made at once and hold nothing: names are looked up in `perdure.sdk.names` when they are first used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

from perdure.sdk.names import ALIASES, DURABLETASK, HOME, MODULES, ONLY_IN_2, TOP_LEVEL_1X

# no typing, importlib.abc or the like at run time: this loads with every command
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

ROOT = "azure.durable_functions"
#: full name of every module served here -> the names that it shows
_SHOWN: dict[str, tuple[str, ...]] = {
    **{f"{ROOT}.{path}".rstrip("."): names for path, names in MODULES.items()},
    **{f"durabletask.{path}".rstrip("."): names for path, names in DURABLETASK.items()},
}
_PACKAGES = {name.rpartition(".")[0] for name in _SHOWN if "." in name} - {"azure"}

#: names of SDK 2.0 that somebody looked up under the published package
touched_2: set[str] = set()


def resolve(name: str) -> Any:
    """The object behind a public name. Raises `AttributeError` for any other name."""
    name = ALIASES.get(name, name)
    home = HOME.get(name)
    if home is None:
        raise AttributeError(name)
    return getattr(import_module(home), name)


class PublishedModule(ModuleType):
    """One module of the published package."""

    def __getattr__(self, name: str) -> Any:
        own = self.__name__
        shown = name in _SHOWN[own]
        below = None if shown else sys.modules.get(f"{own}.{name}")
        if below is not None:
            value: Any = below
        elif shown or (own.count(".") > 1 and name in HOME):
            # the second: published modules also show what they import from each other
            if own == ROOT and name in ONLY_IN_2:
                touched_2.add(name)
            value = resolve(name)
        else:
            raise AttributeError(f"module {own!r} has no attribute {name!r}")
        self.__dict__[name] = value
        return value

    def __dir__(self) -> list[str]:
        prefix = f"{self.__name__}."
        below = [name[len(prefix) :] for name in _SHOWN if name.startswith(prefix)]
        return sorted({*super().__dir__(), *_SHOWN[self.__name__], *(name for name in below if "." not in name)})


class _Loader:
    """Makes the published modules."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return PublishedModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        module.__file__ = __file__  # "which package is this?", apps ask when they start
        # a star import is no sign of 2.0, so it gives what 1.7 gives
        module.__dict__["__all__"] = list(TOP_LEVEL_1X if name == ROOT else _SHOWN[name])
        if name in _PACKAGES:
            module.__path__ = []
        if name in (ROOT, "durabletask"):
            self._make_submodules(name)

    def _make_submodules(self, root: str) -> None:
        """All at once, so that no later import binds a submodule over the class of the same name in its parent."""
        for name in _SHOWN:
            if name.startswith(f"{root}.") and name not in sys.modules:
                spec = _spec(name)
                module = PublishedModule(name)
                module.__spec__ = spec
                module.__package__ = spec.parent
                sys.modules[name] = module
                self.exec_module(module)


def _spec(name: str) -> ModuleSpec:
    return ModuleSpec(name, _Loader(), is_package=name in _PACKAGES)  # type: ignore[arg-type]


class AzureNames:
    """Finds the published package and its submodules, before any other finder."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module of the published package, None for all others."""
        return _spec(fullname) if fullname.startswith(ROOT) and fullname in _SHOWN else None


class DurableTaskNames:
    """Finds `durabletask`, of which apps for SDK 2.0 import a few names, when nobody else does."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of one of its modules, None for all others."""
        return _spec(fullname) if fullname.startswith("durabletask") and fullname in _SHOWN else None


def install() -> None:
    """Serve `azure.durable_functions` from here from now on; modules of another distribution are forgotten."""
    if not any(isinstance(finder, AzureNames) for finder in sys.meta_path):
        sys.meta_path.insert(0, AzureNames())
        sys.meta_path.append(DurableTaskNames())
    loaded = sys.modules.get(ROOT)
    if loaded is not None and not isinstance(loaded, PublishedModule):
        for name in [name for name in sys.modules if name == ROOT or name.startswith(ROOT + ".")]:
            del sys.modules[name]
        azure = sys.modules.get("azure")
        if azure is not None and getattr(azure, "durable_functions", None) is loaded:
            del azure.durable_functions
