"""`perdure start`: its flags, and the host that they start."""

from __future__ import annotations

import argparse
import difflib
import importlib.util
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from perdure.host.errors import StartError, UsageError
from perdure.host.settings.config import Flags, HostConfig, load_config

#: flags of `func start` that have nothing to do here, and whether a value follows them
WITHOUT_EFFECT = {
    "--no-build": False,
    "--dotnet-isolated-debug": False,
    "--enable-json-output": False,
    "--json-output-file": True,
    "--runtime": True,
    "--worker-runtime": True,
    "--python": False,
    "--skip-azure-storage-check": False,
}


class _Parser(argparse.ArgumentParser):
    """Mistakes become a `UsageError`, not the end of the process."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"perdure start: {message}. 'perdure start --help' lists the flags.")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds above 0")
    return seconds


def parser() -> argparse.ArgumentParser:
    """The flags of `perdure start`."""
    made = _Parser(prog="perdure start", description="Run the app in this folder.", allow_abbrev=False)
    add = made.add_argument
    add("-p", "--port", type=int, metavar="PORT", help="port to listen on (7071; 0 takes a free one)")
    add("--address", metavar="IP", help="address to listen on (127.0.0.1)")
    add("--cors", metavar="ORIGINS", help="origins that may call, separated by commas, or *")
    add("--cors-credentials", action="store_true", help="other origins may use credentials")
    add("--functions", nargs="+", action="extend", default=[], metavar="NAME", help="load only these functions")
    add("--enableAuth", "--enable-auth", dest="enable_auth", action="store_true", help="demand keys")
    add("-t", "--timeout", type=_seconds, metavar="SECONDS", help="time for the host to start (no limit)")
    add("--user-log-level", metavar="LEVEL", help="lowest level of user logs: Trace ... Critical, None")
    add("--log-format", choices=("console", "plain", "json"), default="console", help="how log lines look")
    add("--language-worker", metavar="ARGUMENTS", help="further arguments of the workers' interpreter")
    add("--useHttps", "--use-https", dest="use_https", action="store_true", help="serve https")
    add("--cert", metavar="FILE", help="certificate and private key, PEM, for --useHttps")
    add("--password", metavar="TEXT", help="password of the private key")
    add("--debug", nargs="?", type=int, const=5678, metavar="PORT", help="run one worker under debugpy (5678)")
    add("--debug-wait", action="store_true", help="with --debug: wait for the editor before the app is loaded")
    add("--verbose", action="store_true", help="show system logs")
    add("--script-root", "--prefix", dest="script_root", metavar="DIR", help="folder of the app")
    add("--reload", dest="reload", action="store_true", default=None, help="restart workers when files change")
    add("--no-reload", dest="reload", action="store_false", help="do not watch files")
    return made


def flags() -> list[tuple[str, str]]:
    """Every flag with what it does."""
    return [(flag, action.help or "") for action in parser()._actions for flag in action.option_strings]


def parse(words: Sequence[str]) -> tuple[Flags, list[str]]:
    """The flags, and those that were given and have no effect. Raises `UsageError`."""
    joined, ignored = _prepared(words)
    known, unknown = parser().parse_known_args(joined)
    for word in unknown:
        near = difflib.get_close_matches(word.split("=")[0], [flag for flag, _ in flags()], 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(f"perdure start: '{word}' is unknown.{hint} 'perdure start --help' lists the flags.")
    values = vars(known)
    values["functions"] = tuple(name for text in values["functions"] for name in text.split(",") if name)
    return Flags(**values), ignored


def _prepared(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take out the flags without effect; tie `--language-worker` to its value, which begins with a dash itself."""
    joined: list[str] = []
    ignored: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name = word.split("=")[0]
        if name in WITHOUT_EFFECT:
            ignored.append(name)
            if WITHOUT_EFFECT[name] and "=" not in word and rest and not rest[0].startswith("-"):
                rest.pop(0)
        elif word == "--language-worker" and rest:
            joined.append(f"{word}={rest.pop(0)}")
        else:
            joined.append(word)
    return joined, ignored


def start(words: Sequence[str], began: float) -> int:
    """Run the host until it is told to stop; the exit code. Raises `StartError`."""
    flags, ignored = parse(words)
    config = configured(flags, ignored)
    from perdure.host.process import run_host

    return run_host(config, began)


def configured(flags: Flags, ignored: Sequence[str] = ()) -> HostConfig:
    """The configuration for these flags in the working folder. Raises `StartError`."""
    from msgspec import structs

    config = load_config(flags, os.environ, Path.cwd())
    if flags.enable_auth:
        raise StartError(
            "--enableAuth: function keys are not built yet, so nothing would be protected. Start without it, on a "
            "loopback address or behind a proxy that authenticates."
        )
    if flags.debug is not None and importlib.util.find_spec("debugpy") is None:
        raise StartError("--debug needs the package debugpy, which is not installed: pip install 'perdure[debug]'.")
    notes = tuple(("Information", f"{name} has no effect here.") for name in ignored)
    return structs.replace(config, notes=config.notes + notes)
