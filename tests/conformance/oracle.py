"""The published executor, asked over a pipe."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

LABEL = "\n\n$OutOfProcData$:"


class Oracle:
    """A process with the published package. Use as a context manager."""

    def __init__(self) -> None:
        # isolated: neither this project's sources nor PYTHONPATH are importable there
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-W", "ignore", str(Path(__file__).with_name("oracle_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Oracle:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def ask(self, source: str, payload: dict[str, Any]) -> dict[str, Any]:
        """The answer to a trigger payload; a failure's answer is the labelled part of the exception's text."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"source": source, "payload": payload}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the oracle process ended with {self._process.wait()}")
        return parse(json.loads(line))


def parse(reply: dict[str, str]) -> dict[str, Any]:
    """The answer as a dict; `raised` is set when the handler raised without the label."""
    if "answer" in reply:
        return json.loads(reply["answer"])
    text = reply["error"]
    if LABEL in text:
        return json.loads(text.split(LABEL, 1)[1])
    return {"raised": text}
