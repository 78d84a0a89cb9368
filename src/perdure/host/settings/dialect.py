"""Whose answers an app gets where SDK 1.x and 2.0 differ: one value per app, decided after indexing."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

from perdure.host.protocol.user_errors import requirement_lines

_DISTRIBUTION = re.compile(
    r"azure[-_.]functions[-_.]durable(?![\w.-]*\w)\s*(?:\[[^\]]*\])?\s*(?P<spec>.*)", re.IGNORECASE
)
_CLAUSE = re.compile(r"(?P<operator>===?|~=|>=|>)\s*(?P<version>\d+(?:\.\d+)*)")
_INSTALLED = re.compile(r"azure_functions_durable-(?P<version>\d+)[^-]*\.(?:dist|egg)-info$", re.IGNORECASE)


def decide_dialect(setting: Any, root: str, touched: str | None) -> tuple[int, str]:
    """The dialect and why: `setting` (1, 2 or auto), requirements and installation, then what the app `touched`.

    Raises ValueError when the setting is none of these.
    """
    text = str(setting if setting is not None else "auto").strip().lower()
    if text in ("1", "2"):
        return int(text), f"setting dialect is {text}"
    if text not in ("auto", ""):
        raise ValueError(f"The setting extensions.perdure.dialect is {setting!r}; expected 1, 2 or auto.")
    required = required_version(root)
    if required is not None and required[0] >= 2:
        return 2, f"requirements.txt says {required[1]}"
    installed = installed_version()
    if installed is not None and installed >= 2:
        return 2, f"azure-functions-durable {installed} is installed"
    if touched:
        return 2, f"the app uses {touched}, which exists only in 2.0"
    return 1, "nothing asks for 2.0"


def required_version(root: str) -> tuple[int, str] | None:
    """Lowest major version that requirements.txt allows, and its line; None when it says nothing."""
    for line in requirement_lines(root):
        match = _DISTRIBUTION.match(line)
        if match:
            clauses = _CLAUSE.finditer(match["spec"].split(";", 1)[0])
            majors = [int(clause["version"].split(".")[0]) for clause in clauses]
            return (max(majors), line) if majors else None
    return None


def installed_version() -> int | None:
    """Major version of the installed distribution, None when there is none. Reads folder names, imports nothing."""
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            match = _INSTALLED.match(name)
            if match:
                return int(match["version"])
    return None
