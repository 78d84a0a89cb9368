"""Which changed files restart the workers: pure rules over paths relative to the app's root, with `/` between parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from msgspec import Struct

#: file names that are always watched, wherever they lie
WATCHED_NAMES = frozenset({"host.json", "function.json"})
#: folders that are never watched: caches, the hub's own files, version control, virtual environments by habit
SKIPPED_FOLDERS = frozenset(
    {"__pycache__", ".perdure", ".git", ".hg", ".svn", ".venv", "venv", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
)


class ReloadRules(Struct, frozen=True):
    """`watchDirectories` and `watchFiles` of host.json, and the patterns of `.funcignore`."""

    watch_directories: tuple[str, ...] = ()
    watch_files: tuple[str, ...] = ()
    ignored: tuple[IgnorePattern, ...] = ()


class IgnorePattern(Struct, frozen=True):
    """One line of `.funcignore`. `include`: written with `!`, takes back what an earlier line excludes."""

    regex: str
    include: bool
    folders_only: bool


def reload_rules(
    watch_directories: Iterable[str] = (), watch_files: Iterable[str] = (), funcignore: str = ""
) -> ReloadRules:
    """Rules from the settings of host.json and the text of `.funcignore`."""
    return ReloadRules(
        tuple(filter(None, map(_clean, watch_directories))),
        tuple(filter(None, map(_clean, watch_files))),
        tuple(pattern for line in funcignore.splitlines() if (pattern := _parse_pattern(line)) is not None),
    )


def watches_folder(rules: ReloadRules, folder: str, is_environment: Callable[[str], bool]) -> bool:
    """Whether anything in `folder` can restart the workers. `is_environment` tells a virtual environment's root."""
    parts = folder.split("/") if folder else []
    for length in range(1, len(parts) + 1):
        inner = "/".join(parts[:length])
        if parts[length - 1] in SKIPPED_FOLDERS or is_environment(inner) or _is_ignored(rules, inner, folder=True):
            return False
    return True


def restarts_workers(rules: ReloadRules, path: str, is_environment: Callable[[str], bool]) -> bool:
    """Whether a change of the file `path` restarts the workers."""
    folder, _, name = path.rpartition("/")
    if not watches_folder(rules, folder, is_environment) or _is_ignored(rules, path, folder=False):
        return False
    # editors' lock files look like sources
    if name.endswith(".py") and not name.startswith(".#"):
        return True
    if name in WATCHED_NAMES or name in rules.watch_files or path in rules.watch_files:
        return True
    return any(folder == watched or folder.startswith(watched + "/") for watched in rules.watch_directories)


def _clean(path: str) -> str:
    cleaned = path.replace("\\", "/").strip("/")
    return cleaned[2:] if cleaned.startswith("./") else cleaned


def _is_ignored(rules: ReloadRules, path: str, *, folder: bool) -> bool:
    """Whether the last pattern that fits `path` itself excludes it; folders above it are asked one by one."""
    ignored = False
    for pattern in rules.ignored:
        if (folder or not pattern.folders_only) and _compiled(pattern.regex).fullmatch(path):
            ignored = not pattern.include
    return ignored


@lru_cache(maxsize=512)
def _compiled(regex: str) -> re.Pattern[str]:
    return re.compile(regex)


def _parse_pattern(line: str) -> IgnorePattern | None:
    """A line in the syntax of `.gitignore`; None for blank lines and comments."""
    text = line.rstrip()
    if not text or text.startswith("#"):
        return None
    include = text.startswith("!")
    text = text[1:] if include else text.removeprefix("\\") if text[:2] in ("\\#", "\\!") else text
    folders_only = text.endswith("/")
    text = text.rstrip("/")
    if not text:
        return None
    # a slash at the beginning or inside ties the pattern to the root; without one it fits at any depth
    anchored = "/" in text
    text = text.lstrip("/")
    return IgnorePattern(("" if anchored else "(?:.*/)?") + _translate(text), include, folders_only)


def _translate(text: str) -> str:
    out = ""
    position = 0
    while position < len(text):
        rest = text[position:]
        char = text[position]
        if rest.startswith("**/"):
            out, position = out + "(?:.*/)?", position + 3
        elif rest.startswith("**"):
            out, position = out + ".*", position + 2
        elif char == "*":
            out, position = out + "[^/]*", position + 1
        elif char == "?":
            out, position = out + "[^/]", position + 1
        elif char == "[" and (end := text.find("]", position + 2)) > 0:
            inside = text[position + 1 : end].replace("\\", "\\\\")
            out += "[" + ("^" + inside[1:] if inside[0] in "!^" else inside) + "]"
            position = end + 1
        else:
            position += char == "\\" and len(rest) > 1
            out, position = out + re.escape(text[position]), position + 1
    return out
