"""host.json: overrides by environment variables, and the values of all settings of the table."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perdure.host.errors import StartError
from perdure.host.settings.lenient_json import shown
from perdure.host.settings.setting_kinds import format_time_span
from perdure.host.settings.table import OWN_SECTION, SETTINGS, Effect, PerCpu, Setting

#: of this section the published host refuses wrong types even where the value means nothing here
_CHECKED = "extensions.durableTask."
_OVERRIDE = "azurefunctionsjobhost"
LOG_LEVELS = ("Trace", "Debug", "Information", "Warning", "Error", "Critical", "None")


def find_host_json(root: Path) -> Path:
    path = root / "host.json"
    if not path.is_file():
        raise StartError(
            f"Host.json file is missing. Please make sure host.json file is present at {root}. "
            "(Run this in the folder of your app, name it with --script-root, or make one with 'perdure init'.)"
        )
    return path


def apply_overrides(document: dict[str, Any], settings: Mapping[str, str]) -> dict[str, str]:
    """Put `AzureFunctionsJobHost__a__b` variables into the tree; gives variable names by lower-case dotted key."""
    names: dict[str, str] = {}
    for name in sorted(settings):
        prefix, *path = name.replace(":", "__").split("__")
        if prefix.lower() != _OVERRIDE or not path or not all(path):
            continue
        _set_leaf(document, path, settings[name])
        names[".".join(path).lower()] = name
    return names


def _set_leaf(node: Any, path: list[str], value: str) -> None:
    for position, part in enumerate(path):
        last = position == len(path) - 1
        if isinstance(node, list):
            index = min(int(part), len(node)) if part.isdigit() else len(node)
            if index == len(node):
                node.append(None)
            key: Any = index
        else:
            key = next((existing for existing in node if existing.lower() == part.lower()), part)
        if last:
            node[key] = value
            return
        child = node[key] if isinstance(node, list) else node.get(key)
        if not isinstance(child, (dict, list)):
            child = [] if path[position + 1].isdigit() else {}
            node[key] = child
        node = child


def lookup(document: Any, key: str) -> Any:
    node = document
    for part in key.split("."):
        if not isinstance(node, dict):
            return None
        node = next((value for name, value in node.items() if name.lower() == part.lower()), None)
    return node


def read_settings(
    document: dict[str, Any],
    overrides: Mapping[str, str],
    origins: dict[str, str],
    notes: list[tuple[str, str]],
) -> dict[str, Any]:
    """The value of every field of `HostConfig` that the settings table names. Raises `StartError`."""
    values: dict[str, Any] = {}
    for row in SETTINGS:
        raw = lookup(document, row.key)
        origin = next((name for key, name in overrides.items() if key == row.key.lower()), "host.json")
        if raw is not None and row.effect is Effect.REFUSED:
            raise StartError(f"{origin}: '{row.key}' cannot be used: {row.note}.")
        if row.effect is Effect.ACCEPTED and not row.key.startswith(_CHECKED):
            raw = None  # what nobody reads must not keep an app from starting
        if raw is not None:
            value = _typed(row, raw, origin)
            origins[row.key] = origin
            _remark(row, raw, value, notes)
        else:
            value = row.default.value() if isinstance(row.default, PerCpu) else row.default
        if row.field:
            values[row.field] = value
    for category, level in values["log_levels"].items():
        if level.lower() not in {name.lower() for name in LOG_LEVELS}:
            raise _unusable(f"logging.logLevel.{category}", level, "one of " + ", ".join(LOG_LEVELS), "host.json")
    _check_own_names(document, notes)
    return values


def _typed(row: Setting, raw: Any, origin: str) -> Any:
    try:
        return row.kind.read(raw)
    except (ValueError, OverflowError):
        raise _unusable(row.key, raw, row.kind.expected, origin) from None


def _unusable(key: str, value: Any, expected: str, origin: str) -> StartError:
    return StartError(f"{origin}: '{key}' is {shown(value)}. Expected {expected}.")


def _remark(row: Setting, raw: Any, value: Any, notes: list[tuple[str, str]]) -> None:
    if row.key.endswith("extendedSessionsEnabled") and value:
        notes.append(
            (
                "Warning",
                "Durable Functions does not work with extendedSessions = true for non-.NET languages. "
                "This value is being set to false instead.",
            )
        )
    if row.kind.name.startswith("TimeSpan") and value and str(raw).strip().lstrip("-").isdigit():
        notes.append(
            (
                "Warning",
                f"host.json: '{row.key}' is {raw}, which means {raw} days. "
                f"Write {format_time_span(float(raw))} for that many seconds.",
            )
        )


def _check_own_names(document: dict[str, Any], notes: list[tuple[str, str]]) -> None:
    """Unknown keys are ignored as everywhere in host.json, but a misspelt one of our own is worth a line."""
    own = lookup(document, OWN_SECTION)
    known = {row.key.rpartition(".")[2] for row in SETTINGS if row.key.startswith(OWN_SECTION + ".")}
    for name in own if isinstance(own, dict) else ():
        if name.lower() not in {key.lower() for key in known}:
            near = difflib.get_close_matches(name, known, 1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            notes.append(("Warning", f"host.json: '{OWN_SECTION}.{name}' is unknown and has no effect.{hint}"))


def check_version(document: dict[str, Any]) -> None:
    version = lookup(document, "version")
    if version is None:
        raise StartError('The host.json file is missing the required \'version\' property. Add "version": "2.0".')
    if str(version).strip() != "2.0":
        raise StartError(f"{shown(version)} is an invalid value for host.json 'version' property. Set it to \"2.0\".")
