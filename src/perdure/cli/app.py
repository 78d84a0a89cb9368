"""Every command but `start`, which is listed here and parsed in `start.py`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand

from perdure.cli.backup import backup_command
from perdure.cli.doctor import doctor_command
from perdure.cli.init import init_command
from perdure.cli.lint.command import lint_command
from perdure.cli.logs import logs_command
from perdure.cli.new import new_command
from perdure.cli.settings import settings_app

_WITHOUT_HUB = frozenset({"init", "new", "function", "settings", "lint", "logs", "doctor", "backup"})

app = typer.Typer(
    name="perdure",
    help="Runs Azure Durable Functions apps written in Python on any machine.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def perdure_command(
    version: Annotated[bool, typer.Option("--version", "-v", help="Print the version.")] = False,
) -> None:
    """Runs Azure Durable Functions apps written in Python on any machine."""
    if version:
        import perdure

        print(perdure.__version__)
        raise typer.Exit


class _Completion(NamedTuple):
    """What a shell is offered, with the fields that shell completion reads."""

    value: str
    help: str
    type: str = "plain"


class _StartCommand(TyperCommand):
    """`start` reads its words itself: what a shell may complete comes from its own list of flags."""

    def shell_complete(self, context: Any, incomplete: str) -> Any:
        from perdure.cli.start import flags

        return [_Completion(flag, text) for flag, text in flags() if flag.startswith(incomplete or "-")]


@app.command(
    cls=_StartCommand,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    add_help_option=False,
)
def start(context: typer.Context) -> None:
    """Run the app in this folder."""
    from perdure.cli.start import start as start_host

    sys.exit(start_host(context.args, 0.0))


app.command("init")(init_command)
app.command("new")(new_command)
app.command("logs")(logs_command)
app.command("doctor")(doctor_command)
app.command("backup")(backup_command)
app.command("lint")(lint_command)
app.add_typer(settings_app, name="settings")
function_app = typer.Typer(help="Functions of the app.", no_args_is_help=True)
function_app.command("new")(new_command)
function_app.command("create")(new_command)
app.add_typer(function_app, name="function", hidden=True)


def run_app(words: Sequence[str]) -> int:
    """Run the command that `words` name; the exit code."""
    if words[:1] == ["durable"]:
        from perdure.cli.durable.app import prepared

        words = prepared(words)
    if not words or words[0] not in _WITHOUT_HUB:
        # what these commands import takes longer than the other commands in all
        from perdure.cli.durable.app import durable_app

        app.add_typer(durable_app, name="durable")
    try:
        app(args=list(words), prog_name="perdure", standalone_mode=True)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    return 0
