"""App settings by name, and the `%NAME%` of bindings that stand for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping


def find_setting(settings: Mapping[str, str], name: str) -> str | None:
    """Look a name up as Azure Functions does: any case, `:` and `__` alike; an exact match wins."""
    if name in settings:
        return settings[name]
    wanted = name.lower().replace("__", ":")
    return next((value for key, value in settings.items() if key.lower().replace("__", ":") == wanted), None)


class SettingMissing(ValueError):
    """A `%NAME%` in a binding names no app setting."""


def expand_binding(text: str, setting: Callable[[str], str | None]) -> str:
    """`text` with each %NAME% replaced by that app setting. Raises `SettingMissing`."""
    if text.count("%") % 2:
        raise SettingMissing(f"The '%' at position {text.rindex('%')} of '{text}' does not have a closing '%'.")

    def value(match: re.Match[str]) -> str:
        found = setting(match.group(1))
        if found is None:
            raise SettingMissing(f"'%{match.group(1)}%' does not resolve to a value.")
        return found

    return re.sub(r"%([^%]*)%", value, text)
