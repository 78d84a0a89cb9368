"""The commit plan: everything that one commit of a host applies, as frozen values. Stores apply it and decide nothing.

Order inside a commit (design 6.1): the host row is checked; turns whose instance is owned by the host and stands at
`base_turn` survive; new instances are inserted; everything else hangs on the survivors; the verdicts are stored under
the commit number. What is written for one turn appears together or not at all.
"""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct

from perdure.model.history import HistoryEvent
from perdure.model.instance import InstanceKind, RuntimeStatus
from perdure.model.operations import ExistingPolicy


class Audit(Struct, frozen=True):
    """A management operation, for people to read: who asked for what, of which instance (or task hub), when
    (microseconds) and why; `result` says what came of it."""

    operation: str
    target: str
    who: str
    time: int
    reason: str | None = None
    result: str = "accepted"


class Message(Struct, frozen=True):
    """Something durable addressed to instance `n`.

    `n` 0: addressed to `instance_id`, which is looked up in the commit. `generation` and `task` are set on results:
    they answer that task of that generation and are dropped by others. `due` (microseconds, 0 is now) keeps the
    message back. `create` makes the addressee when `instance_id` does not exist (entities). `ahead` puts it before
    all that waits, in the order given. It is dropped when the addressee is gone, or finished: a failed instance keeps
    what comes, for a rewind. `audit` is recorded with the addressee, unless the message is dropped; only messages of
    the batch itself have one.
    """

    n: int
    event: HistoryEvent
    generation: int = -1
    task: int = -1
    due: int = 0
    instance_id: str = ""
    create: NewInstance | None = None
    ahead: bool = False
    audit: Audit | None = None


class NewInstance(Struct, frozen=True):
    """An instance to create under `policy`; a finished one with this id is purged first where the policy allows it.

    FAIL_IF_RUNNING replaces a finished one; FAIL_IF_EXISTS and RETURN_EXISTING refuse whatever holds the id.
    REPLACE_ANY never comes here: it is a purge of the holder and a start under FAIL_IF_RUNNING in one commit.

    `owner` is the creating host's token, or 0 to leave it to whoever has room. When refused, `refusal` is sent
    instead (a child that could not be created fails the parent's task). `trace` is the trace context that the instance
    keeps for life (`model.trace_context`), None where nobody traces. `audit` is recorded with the new instance.
    """

    n: int
    instance_id: str
    kind: InstanceKind
    name: str
    created: int
    version: str = ""
    input: str | None = None
    owner: int = 0
    policy: ExistingPolicy = ExistingPolicy.FAIL_IF_RUNNING
    not_before: int = 0
    parent_n: int = 0
    parent_generation: int = 0
    parent_task: int = -1
    parent_id: str | None = None
    tags: dict[str, str] | None = None
    status: RuntimeStatus = RuntimeStatus.PENDING
    refusal: Message | None = None
    trace: str | None = None
    audit: Audit | None = None


class WorkItem(Struct, frozen=True):
    """An activity to run. `owner` is the host that starts it as soon as the commit is durable, 0: whoever has room.
    `scheduled` is the time of the turn that asked for it, `trace` that of its instance, which alone keeps it."""

    n: int
    generation: int
    task: int
    name: str
    input: str | None
    owner: int = 0
    attempt: int = 1
    instance_id: str = ""
    suspect: int = 0
    not_before: int = 0
    scheduled: int = 0
    trace: str | None = None


class TurnPlan(Struct, frozen=True):
    """One applied turn of one instance. `history` is the encoded row of (n, generation, turn), None for none.

    The row of the instance is set to these values; `started` and `completed` only when not 0 (-1 clears `completed`),
    `output`, `custom_status` and `state` only when their `sets_` flag is true. `next_input` replaces the stored input
    and `next_generation` (when not 0) the generation (continue-as-new); the history row belongs to `generation`.
    `cursor`, `first_turn` and `suspect` are always set, `lock_holder` unless -1. `consumed` are inbox rows to delete,
    `done` tasks whose work rows go with this turn because their results are in it. `drop_history_below`: generations
    below it are deleted. `close_*` delete what design 4.3 says ends with the instance (or the generation), before the
    messages of this plan are written: `close_timers` these inbox rows, `close_all_timers` all with a due time,
    `close_inbox` all without, `close_work` all activities that have no result yet.
    """

    n: int
    base_turn: int
    turn: int
    generation: int
    status: RuntimeStatus
    updated: int
    history: bytes | None = None
    started: int = 0
    completed: int = 0
    output: str | None = None
    sets_output: bool = False
    custom_status: str | None = None
    sets_custom_status: bool = False
    state: str | None = None
    sets_state: bool = False
    next_input: str | None = None
    sets_input: bool = False
    next_generation: int = 0
    lock_holder: int = -1
    cursor: int = 0
    first_turn: int = 0
    suspect: int = 0
    consumed: tuple[int, ...] = ()
    done: tuple[int, ...] = ()
    messages: tuple[Message, ...] = ()
    work: tuple[WorkItem, ...] = ()
    creations: tuple[NewInstance, ...] = ()
    drop_history_below: int = 0
    close_timers: tuple[int, ...] = ()
    close_inbox: bool = False
    close_all_timers: bool = False
    close_work: bool = False


class WorkChunk(Struct, frozen=True):
    """The next work rows of a large turn (design 4.4), applied only while the host owns `n` and `cursor` is this."""

    n: int
    cursor: int
    next_cursor: int
    work: tuple[WorkItem, ...]


class ActivityResult(Struct, frozen=True):
    """A result on the row path: becomes an inbox row, and its work row is deleted, only if `owner` holds the claim."""

    message: Message
    owner: int


class Attempt(Struct, frozen=True):
    """One run of an activity, for people to look at. Times in microseconds."""

    n: int
    generation: int
    task: int
    attempt: int
    scheduled: int
    started: int
    finished: int
    host: int
    worker: str
    failure: str | None = None


class WorkReturn(Struct, frozen=True):
    """A claim given back: the work row is free again (`suspect` and `not_before` as given)."""

    n: int
    generation: int
    task: int
    suspect: int = 0
    not_before: int = 0


class Parking(Struct, frozen=True):
    """Set (`report`) or clear (None) what keeps an owned instance from going on; turn and history stay."""

    n: int
    base_turn: int
    report: str | None
    suspect: int = 0


class Purge(Struct, frozen=True):
    """Delete an instance with everything it has, whoever owns it. `parent_failure` is sent if it was unfinished,
    `messages` (to entities that it holds locks of) in any case. Only while it stands at `turn` (-1: at any) and, if
    `idle`, no message waits for it: else, or when its row is in another open transaction, the verdict is FENCED, and
    REFUSED when it is gone. Its audit rows go too; `audit` is recorded with the hub once it is applied."""

    n: int
    parent_failure: Message | None = None
    messages: tuple[Message, ...] = ()
    turn: int = -1
    idle: bool = False
    audit: Audit | None = None


class Release(Struct, frozen=True):
    """This host owns the instance no longer; nobody takes it before `not_before` (microseconds)."""

    n: int
    not_before: int = 0


class CommitBatch(Struct, frozen=True):
    """One commit of the host with `token`; numbers grow. Every list may be empty.

    Applied in this order: parkings, turns (their rows and deletions), chunks, releases, purges, creations (by id,
    those of the batch before those of turns), results, then messages: of refused creations, of turns, of the batch,
    of purges. All turns and parkings are judged by what was stored before; of two plans for one instance one applies.
    `audits` are recorded with the hub; each takes the place of an earlier one of the same operation and time. A hub
    keeps the latest thousand of its own.
    """

    token: int
    number: int
    turns: tuple[TurnPlan, ...] = ()
    chunks: tuple[WorkChunk, ...] = ()
    creations: tuple[NewInstance, ...] = ()
    messages: tuple[Message, ...] = ()
    results: tuple[ActivityResult, ...] = ()
    returns: tuple[WorkReturn, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    parkings: tuple[Parking, ...] = ()
    purges: tuple[Purge, ...] = ()
    releases: tuple[Release, ...] = ()
    audits: tuple[Audit, ...] = ()


class Verdict(IntEnum):
    """What became of one item of a commit."""

    APPLIED = 0
    FENCED = 1
    REFUSED = 2


class MessageVerdict(Struct, frozen=True, array_like=True):
    """`seq` of the inbox row (0: dropped, the addressee is gone or finished), the addressee and its owner."""

    seq: int
    n: int
    owner: int


class CreationVerdict(Struct, frozen=True, array_like=True):
    """APPLIED, or REFUSED by the instance `n` that holds the id with `status`; `refusal` is then the message's row."""

    verdict: Verdict
    n: int
    status: int = -1
    refusal: MessageVerdict | None = None


class TurnVerdict(Struct, frozen=True, array_like=True):
    """FENCED turns have nothing else. Lists follow the order of the plan."""

    verdict: Verdict
    messages: tuple[MessageVerdict, ...] = ()
    creations: tuple[CreationVerdict, ...] = ()


class CommitAnswer(Struct, frozen=True, array_like=True):
    """The verdicts of one commit, in the order of its batch. `alive` false: the token is dead, nothing was applied."""

    number: int
    time: int
    alive: bool = True
    turns: tuple[TurnVerdict, ...] = ()
    chunks: tuple[Verdict, ...] = ()
    creations: tuple[CreationVerdict, ...] = ()
    messages: tuple[MessageVerdict, ...] = ()
    results: tuple[MessageVerdict, ...] = ()
    parkings: tuple[Verdict, ...] = ()
    purges: tuple[Verdict, ...] = ()
