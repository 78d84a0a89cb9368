"""Declares commands: a function of a target and its own flags becomes one that takes the common flags as well."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Annotated, Any

import typer

from perdure.cli.durable.target import CommandFailed, Target, Where
from perdure.cli.errors import DONE, FAILED, print_error
from perdure.host.errors import StartError

_PANEL = "Which task hub, and how it is told"
_COMMON: dict[str, Any] = {
    "task_hub_name": Annotated[
        str | None,
        typer.Option("--task-hub-name", metavar="HUB", help="Another task hub of the store.", rich_help_panel=_PANEL),
    ],
    "store": Annotated[
        str | None,
        typer.Option("--store", metavar="URL", help="Another store than the app's.", rich_help_panel=_PANEL),
    ],
    "url": Annotated[
        str | None,
        typer.Option("--url", metavar="URL", help="A host: http://host:7071?code=KEY.", rich_help_panel=_PANEL),
    ],
    "connection_string_setting": Annotated[
        str | None,
        typer.Option(
            "--connection-string-setting",
            metavar="NAME",
            help="App setting that holds a store's URL.",
            rich_help_panel=_PANEL,
        ),
    ],
    "script_root": Annotated[
        str | None,
        typer.Option("--script-root", metavar="DIR", help="Folder of the app.", rich_help_panel=_PANEL),
    ],
    "json": Annotated[bool, typer.Option("--json", help="Print JSON for scripts.", rich_help_panel=_PANEL)],
}


def declared(app: typer.Typer, name: str) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """Add a function `(target, *, flags) -> exit code` to `app` as a command."""

    def declare(function: Callable[..., int | None]) -> Callable[..., int | None]:
        # not get_type_hints: on Python 3.10 it hides what stands in Annotated where the default is None
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

        def command(**values: Any) -> None:
            where = Where(**{field: values.pop(field) for field in _COMMON})
            raise typer.Exit(run(lambda target: function(target, **values), where))

        common = [inspect.Parameter(field, inspect.Parameter.KEYWORD_ONLY, default=None) for field in _COMMON]
        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + [
            p.replace(annotation=_COMMON[p.name], default=False if p.name == "json" else None) for p in common
        ]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        command.__doc__ = function.__doc__
        app.command(name)(command)
        return function

    return declare


def run(work: Callable[[Target], int | None], where: Where) -> int:
    """Open the hub, do the work, print what went wrong as one text; the exit code."""
    try:
        with Target(where) as target:
            return work(target) or DONE
    except StartError as error:
        if os.environ.get("CLI_DEBUG") == "1":
            raise
        print_error(str(error))
        return error.code if isinstance(error, CommandFailed) else FAILED
