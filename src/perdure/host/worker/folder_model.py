"""The v1 model: each folder with a `function.json` is a function, loaded as module `__app__.<Folder>` as on Azure."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

#: the package under which function modules are loaded; names in stored payloads refer to it
NAMESPACE = "__app__"
_SCRIPTS = ("__init__.py", "main.py", "run.py", "index.py")


class FolderFunction:
    """What a `function.json` and its script say."""

    __slots__ = ("bindings", "call", "directory", "disabled", "entry_point", "retry", "script")

    def __init__(
        self,
        bindings: list[dict[str, Any]],
        call: Callable[..., Any],
        directory: str,
        script: str,
        entry_point: str,
        disabled: bool,
        retry: dict[str, Any] | None,
    ) -> None:
        self.bindings = bindings
        self.call = call
        self.directory = directory
        self.script = script
        self.entry_point = entry_point
        self.disabled = disabled
        self.retry = retry


def prepare_folders(root: str) -> None:
    """Make `__app__` the package of everything under `root`."""
    package = ModuleType(NAMESPACE)
    package.__path__ = [root]
    sys.modules[NAMESPACE] = package


def index_folder(root: str, folder: str) -> FolderFunction:
    """Import the function in `folder`.

    Raises ValueError with a text to print for a function.json that is wrong, and whatever the user's module raises.
    """
    directory = os.path.join(root, folder)
    written = _read(Path(directory, "function.json"), folder)
    bindings = written.get("bindings")
    if not isinstance(bindings, list) or not all(isinstance(binding, dict) for binding in bindings):
        raise ValueError(f"Function {folder}: {folder}/function.json has no list of bindings.")
    script = _script(directory, folder, written.get("scriptfile"))
    entry_point = str(written.get("entrypoint") or "main")
    module = importlib.import_module(_module_name(folder, script))
    call = getattr(module, entry_point, None)
    if not callable(call):
        raise ValueError(
            f"Function {folder}: {folder}/{script} defines no function {entry_point}. "
            "Name it main, or name the function in entryPoint of function.json."
        )
    retry = written.get("retry")
    disabled = written.get("disabled") is True
    return FolderFunction(
        bindings, call, directory, script, entry_point, disabled, retry if isinstance(retry, dict) else None
    )


def _read(path: Path, folder: str) -> dict[str, Any]:
    """The top level of a function.json, keys in lower case."""
    try:
        written = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"Function {folder}: {folder}/function.json cannot be read: {error}") from None
    except json.JSONDecodeError as error:
        raise ValueError(
            f"Function {folder}: {folder}/function.json:{error.lineno}:{error.colno} is not valid JSON: {error.msg}"
        ) from None
    if not isinstance(written, dict):
        raise ValueError(f"Function {folder}: {folder}/function.json must hold an object.")
    return {name.lower(): value for name, value in written.items()}


def _script(directory: str, folder: str, written: Any) -> str:
    """The script of a function, relative to its folder, with forward slashes."""
    if written:
        script = str(written).replace("\\", "/")
        if not os.path.isfile(os.path.join(directory, script)):
            raise ValueError(f"Function {folder}: scriptFile {written} of function.json does not exist.")
        return script
    for script in _SCRIPTS:
        if os.path.isfile(os.path.join(directory, script)):
            return script
    scripts = [name for name in sorted(os.listdir(directory)) if name.endswith(".py")]
    if len(scripts) == 1:
        return scripts[0]
    raise ValueError(f"Function {folder}: function.json names no scriptFile and {folder} has no __init__.py.")


def _module_name(folder: str, script: str) -> str:
    """`__app__.Folder` for its `__init__.py`, `__app__.Folder.x` for other scripts, `__app__.x` for `../x.py`."""
    parts: list[str] = [folder]
    for part in PurePosixPath(script).parts:
        if part == "..":
            if not parts:
                raise ValueError(f"Function {folder}: scriptFile {script} lies outside of the app.")
            parts.pop()
        elif part != ".":
            parts.append(part)
    parts[-1] = PurePosixPath(parts[-1]).stem
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join([NAMESPACE, *parts])
