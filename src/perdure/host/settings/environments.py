"""Virtual environments: the one that functions run in, and others that users may take for it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping

_SCRIPTS = "Scripts" if os.name == "nt" else "bin"


def environment_of(interpreter: str | None) -> str:
    """The folder of the environment that `interpreter` belongs to; None is the interpreter of this process."""
    if not interpreter:
        return sys.prefix
    found = os.path.abspath(shutil.which(interpreter) or interpreter)
    folder = os.path.dirname(found)
    # a link to a system's interpreter is resolved, one inside of an environment leads out of it
    inside = os.path.dirname(folder)
    return inside if os.path.exists(os.path.join(inside, "pyvenv.cfg")) else _prefix(os.path.realpath(found))


def other_environment(root: str, interpreter: str | None, variables: Mapping[str, str]) -> str | None:
    """A warning when the app's own `.venv`, or the active environment, is not the one that functions run in."""
    used = environment_of(interpreter)
    own, active = os.path.join(root, ".venv"), variables.get("VIRTUAL_ENV", "")
    for folder, what in ((own, "the app has an environment of its own"), (active, "the active environment is")):
        if not os.path.exists(os.path.join(folder, "pyvenv.cfg")) or _same(folder, used):
            continue
        tools = os.path.join(folder, _SCRIPTS)
        python = os.path.join(tools, "python.exe" if os.name == "nt" else "python")
        named = f"{what}, {folder}" if folder == own else f"{what} {folder}"
        return (
            f"Functions run in {used}, but {named}: what is installed there is not found. Install perdure there with "
            f"'{python} -m pip install perdure' and start {os.path.join(tools, 'perdure')}, or set "
            f"languageWorkers__python__defaultExecutablePath to {python}."
        )
    return None


def _prefix(interpreter: str) -> str:
    folder = os.path.dirname(interpreter)
    return os.path.dirname(folder) if os.path.basename(folder) == _SCRIPTS else folder


def _same(one: str, other: str) -> bool:
    return os.path.normcase(os.path.realpath(one)) == os.path.normcase(os.path.realpath(other))
