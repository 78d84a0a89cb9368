"""`perdure settings list | add | delete`: the app settings in local.settings.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from perdure.host.errors import StartError
from perdure.host.settings.lenient_json import read_object
from perdure.host.settings.local_settings import FILE_NAME, read_local_settings

settings_app = typer.Typer(help="App settings in local.settings.json.", no_args_is_help=True)

_Connection = Annotated[bool, typer.Option("--connectionString", "--connection-string", help="a connection string")]
_HIDDEN = "*****"


@settings_app.command("list")
def list_settings(
    show_value: Annotated[bool, typer.Option("-a", "--showValue", "--show-value", help="show the values")] = False,
) -> None:
    """List the settings."""
    local = read_local_settings(Path.cwd())
    connections = {name.partition(":")[2]: value for name, value in local.connection_strings.items()}
    for heading, values in (("App Settings:", local.values), ("Connection Strings:", connections)):
        print(heading)
        for name, value in values.items():
            print(f"   -> Name: {name}")
            print(f"      Value: {value if show_value else _HIDDEN}")
            print()


@settings_app.command("add")
def add_setting(
    name: str, value: Annotated[str | None, typer.Argument()] = None, connection: _Connection = False
) -> None:
    """Add a setting, or change it."""
    document = _document()
    text = input("Please enter the value: ") if value is None else value
    section = document.setdefault(_section(document, connection), {})
    if isinstance(section.get(name), dict):
        section[name] = {**section[name], "ConnectionString": text}
    else:
        section[name] = text
    _write(document)


@settings_app.command("delete")
def delete_setting(name: str, connection: _Connection = False) -> None:
    """Delete a setting."""
    document = _document()
    section = document.get(_section(document, connection), {})
    if name not in section:
        raise StartError(f"{FILE_NAME} has no setting '{name}'. 'perdure settings list' shows what it has.")
    del section[name]
    _write(document)


settings_app.command("remove", hidden=True)(delete_setting)


def _document() -> dict[str, Any]:
    path = Path.cwd() / FILE_NAME
    if not path.is_file():
        return {"IsEncrypted": False, "Values": {}}
    read_local_settings(Path.cwd())
    return {**read_object(path), "IsEncrypted": False}


def _section(document: dict[str, Any], connection: bool) -> str:
    wanted = "ConnectionStrings" if connection else "Values"
    return next((name for name in document if name.lower() == wanted.lower()), wanted)


def _write(document: dict[str, Any]) -> None:
    (Path.cwd() / FILE_NAME).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
