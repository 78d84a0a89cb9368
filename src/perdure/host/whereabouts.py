"""Where an instance stands in the app's code: a process of its own loads the app and replays the history.

`python -m perdure.host.whereabouts` reads a `Question` on its input and writes a `Standing` on its output; what the
app prints while it is loaded goes nowhere.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from perdure.host.composition import worker_settings
from perdure.host.protocol.worker_settings import WorkerSettings
from perdure.host.settings.config import HostConfig
from perdure.model.codec import encode_history
from perdure.model.execution import TurnRequest
from perdure.model.history import HistoryEvent, OrchestratorStarted
from perdure.model.instance import InstanceRecord
from perdure.sdk.standing import Standing, stand

#: loading an app and replaying may take this long, in seconds
LIMIT = 20.0


class Question(Struct, frozen=True):
    """The app's folder, how its workers are set up, and the instance with its history, a text for each turn."""

    script_root: str
    settings: dict[str, Any]
    n: int
    generation: int
    instance_id: str
    name: str
    history: list[str]


def find_standing(config: HostConfig, record: InstanceRecord, history: Iterable[HistoryEvent]) -> Standing | None:
    """Where an instance stands, None when that cannot be told (the app does not load, or has no such function)."""
    settings = worker_settings(config, "").to_message()
    rows = [row.decode("utf-8") for row in _rows(history)]
    if not rows:
        return None
    question = Question(
        config.script_root, settings, record.n, record.generation, record.instance_id, record.name, rows
    )
    package = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    paths = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    try:
        ended = subprocess.run(
            [config.worker_python or sys.executable, "-m", "perdure.host.whereabouts"],
            input=msgspec.json.encode(question),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **config.environment, "PYTHONPATH": paths},
            timeout=LIMIT,
            check=False,
        )
        return msgspec.json.decode(ended.stdout, type=Standing) if ended.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired, msgspec.DecodeError):
        # the app may do anything while it is loaded; without an answer the store's view remains
        return None


def _rows(history: Iterable[HistoryEvent]) -> list[bytes]:
    """The events as the rows they were stored in: each turn begins with `OrchestratorStarted`."""
    turns: list[list[HistoryEvent]] = []
    for event in history:
        if isinstance(event, OrchestratorStarted) or not turns:
            turns.append([])
        turns[-1].append(event)
    return [encode_history(turn) for turn in turns]


def _answer(question: Question) -> Standing | None:
    from perdure import azure_names
    from perdure.host.settings.dialect import decide_dialect
    from perdure.host.worker.indexing import load_app, prepare_paths
    from perdure.sdk.app import OrchestratorCode
    from perdure.sdk.options import SdkOptions

    azure_names.install()
    prepare_paths(question.script_root)
    settings = WorkerSettings.from_message(question.settings)
    app = load_app(question.script_root)
    newer = f"df.{min(azure_names.touched_2)}" if azure_names.touched_2 else None
    dialect, _ = decide_dialect(settings.dialect, question.script_root, newer)
    written = {name: value for name, value in settings.sdk.items() if name != "dialect"}
    options = msgspec.convert({**written, "dialect": dialect}, SdkOptions)
    for loaded in app.functions:
        code = loaded.code
        if isinstance(code, OrchestratorCode) and loaded.indexed.durable_name.lower() == question.name.lower():
            rows = [row.encode("utf-8") for row in question.history]
            request = TurnRequest(
                question.n, question.generation, len(rows), question.instance_id, question.name, 0, [], rows
            )
            return stand(code, options, request)
    return None


def main() -> int:
    """Answer one question."""
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    output = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    standing = _answer(question)
    if standing is None:
        return 1
    os.write(output, msgspec.json.encode(standing))
    return 0


if __name__ == "__main__":
    sys.exit(main())
