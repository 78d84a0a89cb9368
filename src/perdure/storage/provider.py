"""The store port of the task hub: a dozen coarse calls, each with a callback for its answer.

Rules for every implementation (design 6):

- No call blocks and no call raises for the store's sake: the callback gets the answer, or a `StoreError`.
- Callbacks come one at a time on the thread of the hub, never from inside the call that asked.
- Several commits of one host are never under way together; those of different hosts may be.
- `commit` is idempotent by (token, number): a repeated number returns the recorded answer and applies nothing, also
  after the token died. Only the last answer is kept; an older number is an error. Numbers may be left out.
- The order in which one host's messages to one instance are committed is the order of their `seq`; `seq` only grows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from msgspec import Struct

from perdure.model.commit_plan import Audit, CommitAnswer, CommitBatch, WorkItem
from perdure.model.history import HistoryEvent
from perdure.model.instance import InstanceFilter, InstanceRecord, Page
from perdure.model.operations import OpenActivity


class StoreError(Exception):
    """A call failed. `lost`: the connection broke, so the outcome of a commit is unknown and must be asked for."""

    def __init__(self, text: str, *, lost: bool = False) -> None:
        super().__init__(text)
        self.lost = lost


class UnknownContinuation(StoreError):
    """A listing was to go on where no page of it has ended."""

    def __init__(self, continuation: str) -> None:
        super().__init__(f"unknown continuation {continuation!r}: pass on what the last page gave, or none")


#: numbers of instances by name and status
Counts = dict[tuple[str, int], int]

T = TypeVar("T")
Callback = Callable[["T | StoreError"], None]


class HostRegistration(Struct, frozen=True):
    """What a host says of itself. `names` are durable names as written, by kind ("orchestration", ...)."""

    address: str
    instance_id: str
    names: dict[str, tuple[str, ...]]
    fingerprint: str = ""
    ttl: float = 9.0


class Registered(Struct, frozen=True):
    """`token` is never reused. `time` is the store's clock in microseconds."""

    token: int
    hub: int
    time: int


class InboxRow(Struct, frozen=True):
    """A waiting message of an instance; see `Message`."""

    seq: int
    event: HistoryEvent
    generation: int = -1
    task: int = -1
    due: int = 0


class Loaded(Struct, frozen=True):
    """An instance that the host owns from now on. `inbox` holds the first rows in order of `seq`, timers included.

    `more`: there are further rows (read them with `read_inbox` after the last `seq`).
    """

    record: InstanceRecord
    inbox: list[InboxRow]
    more: bool = False


class DueTimer(Struct, frozen=True):
    """A message whose time comes at `due`."""

    due: int
    seq: int
    n: int


class HostRow(Struct, frozen=True):
    """A host. `heard`: when its beat was last raised, in microseconds of the store's clock (0: an older release runs
    it, which does not tell)."""

    token: int
    beat: int
    dead: bool
    address: str
    instance_id: str
    names: dict[str, tuple[str, ...]]
    heard: int = 0
    ttl: float = 9.0


#: each number of a `Backlog` is counted up to this
MOST_COUNTED = 10_000


class Backlog(Struct, frozen=True):
    """What waits in a hub at one moment, for autoscalers and metrics.

    `waiting`: activities that no live host has claimed; `running`: those that one has; `instances`: with something to
    do, whoever owns them (see `claim_ready`). `oldest`: for how many microseconds the oldest has waited among the
    activities that nobody has claimed, the starts whose time has come and the timers that are due; 0 for none.
    `hosts`: live hosts that run functions.
    """

    waiting: int
    running: int
    instances: int
    oldest: int
    hosts: int


class Provider(Protocol):
    """A store, bound to one hub by `register`."""

    def register(self, registration: HostRegistration, done: Callback[Registered]) -> None:
        """Get a token. Hosts known to be gone (the OS says so) are marked dead first; a hub that was deleted is made
        again."""

    def close(self, token: int, done: Callback[None]) -> None:
        """End a token after its last commit: its claims are free, its instances unowned."""

    def leave(self, token: int, done: Callback[None]) -> None:
        """The host takes no more turns: others may claim its instances from now on, and `claim` and `claim_ready` give
        it nothing. It can still commit, and its activities stay its own until the token is closed."""

    def come_back(self, token: int, names: dict[str, tuple[str, ...]], done: Callback[bool]) -> None:
        """Undoes `leave`: the host takes turns again and keeps the instances that it still has. False: the token is
        dead. One of the two is asked for after the answer to the other."""

    def beat(self, token: int, done: Callback[bool]) -> None:
        """Raise the beat of a host that has nothing to commit. False: the token is dead."""

    def hosts(self, done: Callback[list[HostRow]]) -> None:
        """All host rows of the hub that are not dead."""

    def declare_dead(self, token: int, seen_beat: int, done: Callback[bool]) -> None:
        """Mark a host dead if its beat is still `seen_beat`; whether it is dead now."""

    def commit(self, batch: CommitBatch, done: Callback[CommitAnswer]) -> None:
        """Apply a batch durably; see the module and `CommitBatch`."""

    def recorded(self, token: int, number: int, done: Callback[CommitAnswer | None]) -> None:
        """The answer recorded for a commit number, None when it was never applied."""

    def claim(self, token: int, numbers: list[int], done: Callback[list[Loaded]]) -> None:
        """Own and load these instances, in this order; those that another live host owns or that are gone are left
        out. A dead token gets nothing."""

    def claim_ready(
        self, token: int, limit: int, done: Callback[list[Loaded]], *, passing_over: Sequence[str] = ()
    ) -> None:
        """Own and load instances with something to do (waiting messages, due timers, pending starts, unfinished
        chunks of work) that no live host owns (this one included) and that are not held back by `not_before`.

        Instances of the functions in `passing_over` (`kind:name` in lower case) are left to others.

        A suspended or parked instance has something to do only when a control message waits (resume, suspend,
        terminate, rewind), a finished one only for a rewind."""

    def waiting(self, token: int, done: Callback[list[tuple[int, int]]]) -> None:
        """What waits for instances that this host owns and that could take it (not parked, not suspended): number and
        `seq` of each message that is due, by `seq`, and (number, 0) where there is something to do without a message;
        at most some thousands. This is how a host learns of messages that other hosts sent, and of claims whose
        answer it never got. Commits that are not yet visible are missing, whatever their `seq`."""

    def read_inbox(self, n: int, after: int, done: Callback[list[InboxRow]]) -> None:
        """Further inbox rows of an instance, by `seq`."""

    def read_history(self, n: int, generation: int, done: Callback[list[bytes]]) -> None:
        """The history rows of one generation, undecoded, in order of turns."""

    def due_timers(self, token: int, until: int, limit: int, done: Callback[list[DueTimer]]) -> None:
        """The earliest timers due up to `until` of instances that this host owns or that no live host owns.

        Those of suspended, parked and finished instances are left out: they lie in the inbox when these go on."""

    def claim_work(self, token: int, names: tuple[str, ...], limit: int, done: Callback[list[WorkItem]]) -> None:
        """Claim activities that no live host has claimed, oldest first; `names` in lower case. A `StoreError` means
        that nothing is claimed: a provider that lost the answer undoes the claim or finds it again."""

    def find(self, instance_ids: list[str], done: Callback[list[InstanceRecord]]) -> None:
        """The instances with these ids that exist."""

    def open_activities(
        self, n: int, generation: int, tasks: Sequence[int], done: Callback[list[OpenActivity]]
    ) -> None:
        """Where these activities of a generation are, by task; those that are not in the store are left out."""

    def count_inbox(self, numbers: list[int], now: int, done: Callback[dict[int, int]]) -> None:
        """How many messages wait for these instances, without those that are due after `now`; instances for which
        none waits may be left out."""

    def query(
        self,
        filter: InstanceFilter,
        top: int,
        continuation: str | None,
        done: Callback[Page],
        *,
        payloads: bool = True,
    ) -> None:
        """One page of instances. On an unknown continuation `done` gets an `UnknownContinuation`. Without `payloads`
        input, output, custom status and state are left out."""

    def count(self, filter: InstanceFilter, by_name: bool, done: Callback[Counts]) -> None:
        """How many instances match, by name (else "") and status. Those that come or change meanwhile may be counted
        or not, or twice when they change their status: it is read in pieces."""

    def audit(self, target: str | None, n: int, limit: int, done: Callback[list[Audit]]) -> None:
        """The latest management operations, the last one first: those recorded with instance `n`, and with the hub
        under the id `target`; for `target` None all of the hub, and deletions of other hubs of the store."""

    def delete_hub(self, who: str, result: str, done: Callback[bool]) -> None:
        """Forget the hub with its settings, if it holds no instance and no living host that has functions; whether it
        is gone. `who` ("": nobody) is recorded. Whoever registers later makes it anew, under another number."""

    def get_setting(self, kind: str, key: str, done: Callback[str | None]) -> None:
        """A value that belongs to the hub."""

    def list_settings(self, kind: str, done: Callback[list[tuple[str, str]]]) -> None:
        """All values of a kind: key and value, by key."""

    def put_setting(self, kind: str, key: str, value: str | None, expected: str | None, done: Callback[bool]) -> None:
        """Set (None: delete) a value if it is still `expected` (None: absent); whether it was set."""

    def time(self, done: Callback[int]) -> None:
        """The store's clock in microseconds."""

    def backlog(self, done: Callback[Backlog]) -> None:
        """What waits in the hub, found by index; as cheap for a full store as for an empty one."""
