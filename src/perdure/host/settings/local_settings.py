"""local.settings.json: app settings and host options for work on a machine of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import Struct

from perdure.host.errors import StartError
from perdure.host.settings.lenient_json import json_type, read_object

FILE_NAME = "local.settings.json"


class LocalSettings(Struct, frozen=True):
    """What the file holds. `values` and `connection_strings` become environment variables."""

    values: dict[str, str] = {}
    connection_strings: dict[str, str] = {}
    host: dict[str, str] = {}


def read_local_settings(root: Path) -> LocalSettings:
    """Read the file in `root`; empty settings when there is none. Raises `StartError` on what cannot be used."""
    path = root / FILE_NAME
    if not path.is_file():
        return LocalSettings()
    document = {name.lower(): value for name, value in read_object(path).items()}
    values = _flat(document.get("values"), "Values")
    connections = _connection_strings(document.get("connectionstrings"))
    encrypted = document.get("isencrypted", True)
    if str(encrypted).lower() != "false" and (values or connections):
        why = "IsEncrypted is true" if "isencrypted" in document else "IsEncrypted is missing, which counts as true"
        raise StartError(
            f"{FILE_NAME} is encrypted ({why}), so its values cannot be read here. Write the values in clear text "
            "and set \"IsEncrypted\": false ('func settings decrypt' does both on the machine that encrypted it)."
        )
    return LocalSettings(values, connections, _flat(document.get("host"), "Host"))


def _flat(section: Any, name: str) -> dict[str, str]:
    if section is None:
        return {}
    if not isinstance(section, dict):
        raise StartError(f"{FILE_NAME}: '{name}' must be an object of texts, not {json_type(section)}.")
    flat: dict[str, str] = {}
    for key, value in section.items():
        if isinstance(value, (dict, list)):
            raise StartError(
                f"{FILE_NAME}: '{name}.{key}' must be a text, not {json_type(value)}. "
                f'Write nested settings with __ or : in the name, as in "{key}__name".'
            )
        if value is not None:
            flat[key] = str(value).lower() if isinstance(value, bool) else str(value)
    return flat


def _connection_strings(section: Any) -> dict[str, str]:
    if isinstance(section, dict):
        section = {
            name: next((text for key, text in value.items() if key.lower() == "connectionstring"), None)
            if isinstance(value, dict)
            else value
            for name, value in section.items()
        }
    return {f"ConnectionStrings:{name}": text for name, text in _flat(section, "ConnectionStrings").items()}
