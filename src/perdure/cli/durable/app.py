"""The group `perdure durable`."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from perdure.cli.durable import acting, deleting, reading

durable_app = typer.Typer(help="Instances and entities, with the host up or down.", no_args_is_help=True)
for _part in (acting, reading, deleting):
    durable_app.registered_commands += _part.app.registered_commands

_SWITCHES = ("--show-input", "--show-output", "--new-id")
#: other spellings, which the help does not list
_ALIASES = {
    "--task-hub": "--task-hub-name",
    "--prefix": "--script-root",
    "--entity-id": "--id",
    "--operation-name": "--operation",
    "--op": "--operation",
    "--restart-with-new-instance-id": "--new-id",
}


def prepared(words: Sequence[str]) -> list[str]:
    """The words with `--switch true` and `--switch=false`, as Azure's tools take them, and with other spellings of
    flags, brought to our form."""
    done: list[str] = []
    rest = list(words)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        name = _ALIASES.get(name, name)
        if name in _SWITCHES and not (equals and value.lower() not in ("true", "false")):
            if not equals and rest and rest[0].lower() in ("true", "false"):
                value = rest.pop(0)
            off = "--same-id" if name == _SWITCHES[2] else name.replace("--", "--no-", 1)
            done.append(off if value.lower() == "false" else name)
        else:
            done.append(name + equals + value)
    return done
