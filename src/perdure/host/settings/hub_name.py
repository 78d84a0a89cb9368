"""The name of the task hub: where it comes from and what it may be."""

from __future__ import annotations

import re
from collections.abc import Callable

from perdure.host.errors import StartError

_LONGEST_PUBLISHED = 45
_LONGEST_ACCEPTED = 50
_SHORTEST = 3
_PERCENT = re.compile(r"%([^%]*)%")


def hub_name(written: str | None, setting: Callable[[str], str | None]) -> str:
    """The effective task hub name. `written` is hubName of host.json, `setting` looks up app settings.

    Raises `StartError` on a name that may not be used.
    """
    if written is None:
        name = default_hub_name(setting("WEBSITE_SITE_NAME"))
        slot = setting("WEBSITE_SLOT_NAME")
        if slot and slot.lower() != "production":
            raise StartError(
                "Task Hub name must be specified in host.json when using slots. "
                f"Specified name must not equal the default HubName ({name})."
            )
        return name
    name = expand(written, setting)
    if not name.strip():
        raise StartError("A non-empty HubName configuration is required.")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", name) or not _SHORTEST <= len(name) <= _LONGEST_ACCEPTED:
        missing = [one for one in _PERCENT.findall(name) if setting(one) is None]
        no_setting = f" There is no app setting {', '.join(map(repr, missing))}." if missing else ""
        raise StartError(
            f"Task hub name '{name}' should contain only alphanumeric characters, start with a letter, "
            f"and have length between {_SHORTEST} and {_LONGEST_PUBLISHED}.{no_setting}"
        )
    return name


def default_hub_name(site_name: str | None) -> str:
    """The name that follows from the site name, made fit rather than refused."""
    if not site_name:
        return "TestHubName"
    name = re.sub(r"[^A-Za-z0-9]", "", site_name)
    if not name:
        return "DefaultTaskHub"
    if name[0].isdigit():
        name = "t" + name
    name = name[:_LONGEST_PUBLISHED]
    return name if len(name) >= _SHORTEST else name + "Hub"


def expand(text: str, setting: Callable[[str], str | None]) -> str:
    """`text` with each %NAME% replaced by that app setting; as it was when any of them is unknown."""
    values = {name: setting(name) for name in _PERCENT.findall(text)}
    if any(value is None for value in values.values()):
        return text
    return _PERCENT.sub(lambda match: values[match.group(1)] or "", text)
