"""Entry point of the command. `start` is on a path of its own, because everything it imports delays every start."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence

from perdure.cli.errors import DONE, FAILED, USAGE, print_error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    began = time.perf_counter()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["host"] and words[1:2] == ["start"]:
        words = words[1:]
    if words[:1] == ["start"]:
        from perdure.cli.start import start

        return guarded(lambda: start(words[1:], began))
    if words in (["--version"], ["-v"], ["version"]):
        import perdure

        print(perdure.__version__)
        return DONE
    from perdure.cli.app import run_app

    return guarded(lambda: run_app(words))


def guarded(command: Callable[[], int]) -> int:
    """Run a command; what users did wrong is one red text on the error output, without a traceback."""
    from perdure.host.errors import StartError, UsageError

    try:
        return command()
    except StartError as error:
        if os.environ.get("CLI_DEBUG") == "1":
            raise
        print_error(str(error))
        return USAGE if isinstance(error, UsageError) else FAILED
    except KeyboardInterrupt:
        return FAILED
