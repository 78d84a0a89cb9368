"""`perdure logs`: the log that `perdure start` keeps beside its console."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Annotated

import msgspec
import typer

from perdure.cli.errors import FAILED, USAGE, print_error
from perdure.cli.numbers import whole
from perdure.host.errors import StartError
from perdure.host.logs.console import console_format, level_name, wants_colour
from perdure.host.logs.log import LEVELS, Record
from perdure.host.logs.log_file import KEPT, Entry, log_path, older
from perdure.host.settings.config import Flags, load_config
from perdure.model.history_view import full_time

_LOOK_SECONDS = 0.1
_decoder: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)


def logs_command(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl+C.")] = False,
    level: Annotated[str | None, typer.Option("--level", metavar="LEVEL", help="This level and above.")] = None,
    instance: Annotated[str | None, typer.Option("--instance", metavar="ID", help="Of this instance.")] = None,
    function: Annotated[str | None, typer.Option("--function", metavar="NAME", help="Of this function.")] = None,
    tail: Annotated[
        int | None, typer.Option("--tail", "-n", parser=whole(0), metavar="LINES", help="The last.")
    ] = None,
    task_hub_name: Annotated[str | None, typer.Option("--task-hub-name", metavar="HUB")] = None,
    script_root: Annotated[str | None, typer.Option("--script-root", "--prefix", metavar="DIR")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """Show the log of the app's hosts."""
    try:
        config = load_config(Flags(script_root=script_root), os.environ, Path.cwd())
        lowest = _level(level)
    except StartError as error:
        print_error(str(error))
        raise typer.Exit(USAGE if level is not None and "--level" in str(error) else FAILED) from None
    path = _log_of(config.script_root, config.hub_name, task_hub_name)
    if not path.exists() and not follow:
        print_error(f"There is no log yet: 'perdure start' writes {path}.")
        raise typer.Exit(FAILED)

    def wanted(entry: Entry) -> bool:
        return (
            entry.level >= lowest
            and (instance is None or entry.instance == instance)
            and (function is None or entry.function.lower() == function.lower())
        )

    write = _writer(as_json)
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        _show(path, wanted, write, tail, follow)
        sys.stdout.flush()


def _log_of(script_root: str, own_hub: str, hub: str | None) -> Path:
    """The log of a hub, whose name may be written in upper or lower case."""
    path = log_path(script_root, own_hub if hub is None or hub.lower() == own_hub.lower() else hub)
    if path.exists():
        return path
    written = (other for other in path.parent.glob("*.log") if other.name.lower() == path.name.lower())
    return next(written, path)


def _level(text: str | None) -> int:
    if text is None:
        return 0
    if text.lower() not in LEVELS:
        names = ", ".join(name.capitalize() for name in LEVELS)
        raise StartError(f"--level: '{text}' is no level. Expected one of {names}.")
    return LEVELS[text.lower()]


def _writer(as_json: bool) -> Callable[[Entry], None]:
    shown = console_format(wants_colour(sys.stdout))

    def write(entry: Entry) -> None:
        if as_json:
            shown_as = {"time": full_time(entry.time), "level": level_name(entry.level)}
            fields = {**msgspec.to_builtins(entry), **shown_as}
            sys.stdout.write(msgspec.json.encode(fields).decode() + "\n")
        else:
            sys.stdout.write(shown(Record(entry.time, entry.level, entry.category, entry.message)))

    return write


def _show(
    path: Path, wanted: Callable[[Entry], bool], write: Callable[[Entry], None], tail: int | None, follow: bool
) -> None:
    from collections import deque

    last: deque[Entry] = deque(maxlen=tail)
    for number in range(KEPT, 0, -1):
        with contextlib.suppress(FileNotFoundError), older(path, number).open("rb") as file:
            for entry in filter(wanted, entries(file)):
                write(entry) if tail is None else last.append(entry)
    current = _opened(path, follow)
    if current is None:
        return
    for entry in filter(wanted, entries(current)):
        write(entry) if tail is None else last.append(entry)
    for entry in last:
        write(entry)
    while follow:
        sys.stdout.flush()
        time.sleep(_LOOK_SECONDS)
        for entry in filter(wanted, entries(current)):
            write(entry)
        if _replaced(path, current):
            # what came to the old file before it was replaced
            for entry in filter(wanted, entries(current)):
                write(entry)
            current.close()
            current = _opened(path, follow) or current


def _opened(path: Path, wait: bool) -> IO[bytes] | None:
    while True:
        try:
            return path.open("rb")
        except FileNotFoundError:
            if not wait:
                return None
            time.sleep(_LOOK_SECONDS)


def _replaced(path: Path, current: IO[bytes]) -> bool:
    try:
        return not os.path.samestat(os.stat(path), os.fstat(current.fileno()))
    except FileNotFoundError:
        return False


def entries(file: IO[bytes]) -> Iterator[Entry]:
    """The whole lines from where the file stands; a line that is still being written is left for later."""
    while True:
        position = file.tell()
        line = file.readline()
        if not line.endswith(b"\n"):
            file.seek(position)
            return
        try:
            yield _decoder.decode(line)
        except msgspec.DecodeError:
            # torn by a crash of the machine
            continue
