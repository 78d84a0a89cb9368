"""Texts for errors in user code: the user's own frames only, and what to do where that is known."""

from __future__ import annotations

import os
import re
import sys
import traceback
from pathlib import Path

_PERDURE = str(Path(__file__).resolve().parents[2]) + os.sep
_NOT_THE_USERS = (_PERDURE, "<frozen ", os.path.join(sys.prefix, "bin") + os.sep)
#: frames of these, between ours and the user's, tell users nothing
_MACHINERY = (f"{os.sep}importlib{os.sep}", f"{os.sep}azure{os.sep}functions{os.sep}")

#: modules whose distribution has another name
_DISTRIBUTIONS = {
    "yaml": "pyyaml",
    "PIL": "pillow",
    "cv2": "opencv-python",
    "sklearn": "scikit-learn",
    "dotenv": "python-dotenv",
    "bs4": "beautifulsoup4",
    "dateutil": "python-dateutil",
    "jwt": "pyjwt",
    "psycopg2": "psycopg2-binary",
    "Crypto": "pycryptodome",
    "OpenSSL": "pyopenssl",
    "azure.cosmos": "azure-cosmos",
}


def hidden_frames() -> tuple[str, ...]:
    """File name prefixes of frames that are not the user's, for `model.failure.describe`."""
    return _NOT_THE_USERS


def is_users(filename: str) -> bool:
    """Whether a frame in this file belongs in what users read."""
    return not filename.startswith(_NOT_THE_USERS) and not any(part in filename for part in _MACHINERY)


def user_traceback(error: BaseException) -> str:
    """The traceback of `error` with the user's frames only, causes included, without a line end."""
    whole = traceback.TracebackException.from_exception(error)
    part: traceback.TracebackException | None = whole
    seen: set[int] = set()
    while part is not None and id(part) not in seen:
        seen.add(id(part))
        part.stack = traceback.StackSummary.from_list([frame for frame in part.stack if is_users(frame.filename)])
        part = part.__cause__ or part.__context__
    lines = list(whole.format())
    if not whole.stack and len(lines) > 1 and lines[0].startswith("Traceback"):
        lines = [line for line in lines if not line.startswith("Traceback")]
    return "".join(lines).rstrip("\n")


def place_of(error: BaseException) -> str:
    """`file:line` of the innermost frame of the user's, or where the syntax is wrong; empty when there is none."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_users(frame.filename)]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def missing_module_hint(error: BaseException, root: str) -> str:
    """What to install, when `error` is a module that requirements.txt lists and this interpreter does not have."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return ""
    listed = {_normal(name) for name in requirement_names(root)}
    parts = error.name.split(".")
    candidates = [".".join(parts[: count + 1]) for count in range(len(parts))]
    for candidate in candidates:
        for name in (candidate, _DISTRIBUTIONS.get(candidate, candidate)):
            if _normal(name) in listed:
                return f"{_normal(name)} is not installed in {sys.prefix}: pip install -r requirements.txt"
    return ""


def requirement_lines(root: str) -> list[str]:
    """The requirements of requirements.txt under `root`, without comments; empty when there is none."""
    try:
        text = Path(root, "requirements.txt").read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return []
    lines = (line.split("#", 1)[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("-")]


def requirement_names(root: str) -> list[str]:
    """The distribution names in requirements.txt under `root`."""
    found = (re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line) for line in requirement_lines(root))
    return [match.group() for match in found if match]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
