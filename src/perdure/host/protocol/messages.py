"""The typed messages between host and worker, beside the turn, activity and entity values of `model.execution`.

Every frame on the channel is a list of such messages (see `channel.py`). Invocation ids are made by the host.
"""

from __future__ import annotations

from typing import Any, Union

from msgspec import Struct

from perdure.model.execution import (
    ActivityCompleted,
    ActivityFailed,
    ActivityRequest,
    EntityDecided,
    EntityRequest,
    SessionMissing,
    TurnDecided,
    TurnMismatch,
    TurnRequest,
)
from perdure.model.failure import FailureDetails
from perdure.model.operations import Operation, OperationAnswer


class _Wire(Struct, frozen=True, array_like=True):
    """Common shape: tagged arrays. Tags below 20 belong to `model.execution`."""


class IndexedFunction(Struct, frozen=True, array_like=True):
    """One function of the app as the worker indexed it.

    `trigger` is the trigger's type in lower case ("httptrigger", "orchestrationtrigger", ...); `durable_name` what
    `call_activity` and the like must match for durable triggers. `bindings` are the binding objects as in a
    function.json, keys as written there. `parameters` names of the function's parameters. `retry` is the function's
    own retry policy, keys as written.
    """

    name: str
    trigger: str
    durable_name: str
    bindings: list[dict[str, Any]]
    script_file: str
    entry_point: str
    disabled: bool = False
    is_async: bool = False
    parameters: tuple[str, ...] = ()
    location: str = ""
    input_shape: str = ""
    retry: dict[str, Any] | None = None


class IndexError_(Struct, frozen=True, array_like=True):
    """A function, or the app, that could not be indexed. `text` is ready to print: the user's own frames only.

    `fatal`: the app cannot run at all (v2 module does not import, duplicate names)."""

    function: str
    text: str
    fatal: bool = False


class AppIndexed(_Wire, frozen=True, tag=20):
    """Worker to host, first message: what the app contains."""

    functions: list[IndexedFunction]
    errors: list[IndexError_]
    warnings: list[str]
    programming_model: str
    dialect: int
    dialect_reason: str
    python: str
    fingerprint: str
    pid: int
    threads: int = 0


class StartWorker(_Wire, frozen=True, tag=21):
    """Host to worker, first message. `settings` is the JSON of the own settings that user code's runtime needs."""

    script_root: str
    worker_id: str
    threads: int
    settings: dict[str, Any]
    functions: tuple[str, ...] = ()


class BeginTurn(_Wire, frozen=True, tag=22):
    """Host to worker: a turn with its invocation id (for logs)."""

    invocation: str
    request: TurnRequest


class BeginActivity(_Wire, frozen=True, tag=23):
    invocation: str
    request: ActivityRequest


class BeginEntity(_Wire, frozen=True, tag=24):
    invocation: str
    request: EntityRequest


class DropSession(_Wire, frozen=True, tag=25):
    n: int


class CancelActivity(_Wire, frozen=True, tag=26):
    """Host to worker: drop an activity that has not begun and, if `running`, cancel it if it is a coroutine."""

    n: int
    generation: int
    task: int
    running: bool = True


class HttpInvocation(_Wire, frozen=True, tag=27):
    """Host to worker: an HTTP trigger fires. Header names in lower case; `url` is absolute, percent-decoded path."""

    invocation: str
    function: str
    method: str
    url: str
    headers: list[tuple[str, str]]
    params: dict[str, str]
    route_params: dict[str, str]
    body: bytes
    trace: str | None = None


class HttpAnswer(_Wire, frozen=True, tag=28):
    """Worker to host. `headers` may repeat a name (cookies)."""

    invocation: str
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Retry(Struct, frozen=True, array_like=True):
    """What user code reads in `context.retry_context`: this is retry `count` of at most `most` (-1: no limit)."""

    count: int
    most: int
    failure: FailureDetails | None = None


class TriggerInvocation(_Wire, frozen=True, tag=29):
    """Host to worker: run any other function by hand or by its trigger. `payload` is the trigger's JSON text."""

    invocation: str
    function: str
    payload: str | None
    trace: str | None = None
    retry: Retry | None = None


class InvocationDone(_Wire, frozen=True, tag=30):
    """Worker to host: a trigger invocation ended. `result` is JSON text of a return value, if any."""

    invocation: str
    result: str | None = None


class InvocationFailed(_Wire, frozen=True, tag=31):
    """Worker to host: a user function of any kind raised (or its result could not be encoded)."""

    invocation: str
    failure: FailureDetails


class TurnResult(_Wire, frozen=True, tag=32):
    """Worker to host: outcome of `BeginTurn`, with the run time in microseconds."""

    invocation: str
    outcome: TurnDecided | SessionMissing | TurnMismatch
    duration: int = 0


class ActivityResult(_Wire, frozen=True, tag=33):
    invocation: str
    outcome: ActivityCompleted | ActivityFailed


class EntityResult(_Wire, frozen=True, tag=34):
    invocation: str
    outcome: EntityDecided
    duration: int = 0


class ClientCall(_Wire, frozen=True, tag=35):
    """Worker to host: the durable client asks something. `call` pairs it with its answer."""

    call: int
    operation: Operation
    task_hub: str = ""


class ClientReply(_Wire, frozen=True, tag=36):
    call: int
    answer: OperationAnswer


class LogLine(_Wire, frozen=True, tag=37):
    """Worker to host: one log record or printed line. `level` is Python's number; `category` "" for prints."""

    time: int
    level: int
    text: str
    function: str = ""
    invocation: str = ""
    instance_id: str = ""
    category: str = ""
    thread: str = ""
    process: int = 0


class Heartbeat(_Wire, frozen=True, tag=38):
    """Both ways. `busy` is the number of invocations under way in the worker, `turn` the one on the turn thread."""

    busy: int = 0
    turn: str = ""
    turn_seconds: float = 0.0
    free_threads: int = 0
    debugger: bool = False


class StopWorker(_Wire, frozen=True, tag=39):
    """Host to worker: finish what runs, take nothing new, end."""

    grace: float


class SessionEvicted(_Wire, frozen=True, tag=40):
    """Worker to host: the session of `n` is gone (limit of sessions or idle time)."""

    n: int


class AttachmentBegins(_Wire, frozen=True, tag=41):
    """Both ways, of the channel's own: `size` bytes follow as pieces of attachment `number`."""

    number: int
    size: int


class Attached(_Wire, frozen=True, tag=42):
    """Both ways, of the channel's own: all of attachment `number` has been sent; it is the body of `message`."""

    number: int
    message: HttpInvocation | HttpAnswer


class LogCredit(_Wire, frozen=True, tag=43):
    """Host to worker: that many more characters of log lines may be sent."""

    characters: int


class RecallActivity(_Wire, frozen=True, tag=44):
    """Host to worker: give back a plain activity that still waits for a thread; one that has begun goes on."""

    invocation: str


class ActivityGivenBack(_Wire, frozen=True, tag=45):
    """Worker to host: what was recalled had not begun."""

    invocation: str


class Ping(_Wire, frozen=True, tag=46):
    """Host to worker: answer at once."""


class Pong(_Wire, frozen=True, tag=47):
    """Worker to host. `cpu`: seconds of CPU time that the process has used so far."""

    cpu: float


#: what a worker receives
HostMessage = Union[
    StartWorker,
    BeginTurn,
    BeginActivity,
    BeginEntity,
    DropSession,
    CancelActivity,
    HttpInvocation,
    TriggerInvocation,
    ClientReply,
    StopWorker,
    LogCredit,
    AttachmentBegins,
    Attached,
    RecallActivity,
    Ping,
]

#: what a host receives
WorkerMessage = Union[
    AppIndexed,
    TurnResult,
    ActivityResult,
    EntityResult,
    HttpAnswer,
    InvocationDone,
    InvocationFailed,
    ClientCall,
    LogLine,
    Heartbeat,
    SessionEvicted,
    AttachmentBegins,
    Attached,
    ActivityGivenBack,
    Pong,
]
