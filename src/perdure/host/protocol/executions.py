"""What the supervisor tells of every run of user code, for logs and metrics."""

from __future__ import annotations

from enum import Enum
from typing import Union

from msgspec import Struct


class RunKind(Enum):
    """Why a function runs."""

    TURN = "turn"
    ACTIVITY = "activity"
    ENTITY = "entity"
    HTTP = "http"
    TRIGGER = "trigger"


class RunStarted(Struct, frozen=True):
    """A function was handed to a worker: once per function run and per orchestrator turn.

    `reason` and `details` are what its trigger says of the run, if anything.
    """

    function: str
    invocation: str
    kind: RunKind
    instance_id: str = ""
    reason: str = ""
    details: str = ""


class RunEnded(Struct, frozen=True):
    """It ended. `duration` in seconds as the host saw it; `error` says what failed, empty on success."""

    function: str
    invocation: str
    kind: RunKind
    duration: float
    success: bool
    instance_id: str = ""
    error: str = ""


Execution = Union[RunStarted, RunEnded]
