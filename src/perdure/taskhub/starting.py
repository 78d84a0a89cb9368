"""Instances that clients start: new ones, ones that take the place of others, restarts."""

from __future__ import annotations

from perdure.model.commit_plan import CreationVerdict, NewInstance, Verdict
from perdure.model.instance import TERMINAL, InstanceKind, InstanceRecord, RuntimeStatus, bad_instance_id
from perdure.model.operations import (
    ExistingPolicy,
    RefusalCode,
    Refused,
    RestartInstance,
    Started,
    StartInstance,
)
from perdure.storage.provider import StoreError
from perdure.taskhub.audit import audit
from perdure.taskhub.hub import Answer, Hub
from perdure.taskhub.idempotency import start_once
from perdure.taskhub.purging import OrchestrationPurge
from perdure.taskhub.refusals import not_found, unavailable


def start(hub: Hub, operation: StartInstance, done: Answer, verb: str = "start") -> None:
    """`StartInstance`; `verb` is what is recorded."""
    refusal = hub.shift.catalog.unknown("orchestration", operation.name)
    if refusal is not None:
        done(Refused(RefusalCode.UNKNOWN_FUNCTION, refusal))
        return
    instance_id = operation.instance_id or _new_id(hub)
    wrong = bad_instance_id(instance_id)
    if wrong is not None:
        done(Refused(RefusalCode.BAD_REQUEST, wrong))
        return
    time = hub.committer.time()
    if operation.idempotency_key:
        start_once(hub.store, operation, instance_id, time, lambda again, told: start(hub, again, told, verb), done)
        return
    policy = operation.policy or hub.options.existing_policy
    replaces = policy is ExistingPolicy.REPLACE_ANY
    new = NewInstance(
        n=hub.shift.new_number(),
        instance_id=instance_id,
        kind=InstanceKind.ORCHESTRATION,
        name=operation.name,
        created=time,
        version=hub.options.default_version if operation.version is None else operation.version,
        input=operation.input,
        owner=hub.token if _takes(hub, operation) else 0,
        policy=ExistingPolicy.FAIL_IF_RUNNING if replaces else policy,
        not_before=operation.start_at,
        tags=operation.tags,
        trace=entering(hub, operation.trace),
        audit=audit(verb, instance_id, operation.by, time, operation.name if verb == "start" else None),
    )
    _Start(hub, new, replaces, operation.policy is ExistingPolicy.RETURN_EXISTING, done).begin()


class _Start:
    """One start. `replaces`: whatever has the id gives way; `returns`: it will do."""

    def __init__(self, hub: Hub, new: NewInstance, replaces: bool, returns: bool, done: Answer) -> None:
        self._hub, self._new, self._done = hub, new, done
        self._replaces, self._returns = replaces, returns

    def begin(self) -> None:
        """Create the instance; when it has to take the place of a running one, that goes in the same commit."""
        if self._replaces:
            self._hub.store.find([self._new.instance_id], self._found)
        else:
            self._hub.committer.create(self._new, self._created)

    def _found(self, answer: list[InstanceRecord] | StoreError) -> None:
        if isinstance(answer, StoreError):
            self._done(unavailable(answer))
        elif answer and answer[0].status not in TERMINAL:
            OrchestrationPurge(self._hub, answer[0], self._replaced, new=self._new).begin()
        else:
            self._hub.committer.create(self._new, self._created)

    def _replaced(self, verdict: Verdict | StoreError) -> None:
        if isinstance(verdict, StoreError):
            self._done(unavailable(verdict))
        elif verdict is Verdict.APPLIED:
            self._begun()
        else:
            # it ended, or another has come in its place
            self.begin()

    def _created(self, verdict: CreationVerdict | StoreError) -> None:
        if isinstance(verdict, StoreError):
            self._done(unavailable(verdict))
        elif verdict.verdict is Verdict.APPLIED:
            self._begun()
        elif self._replaces:
            self.begin()
        elif self._returns:
            self._done(Started(self._new.instance_id, existed=True))
        else:
            label = RuntimeStatus(verdict.status).label
            text = f"An Orchestration instance with the status {label} already exists."
            self._done(Refused(RefusalCode.EXISTS, text, label))

    def _begun(self) -> None:
        hub, new = self._hub, self._new
        hub.telemetry.started(new)
        if new.owner:
            hub.registry.created(new)
        else:
            hub.left_behind(new.not_before)
        self._done(Started(new.instance_id))


def _takes(hub: Hub, operation: StartInstance) -> bool:
    """Whether this host runs a new instance itself."""
    later = operation.start_at > hub.committer.time()
    return not later and hub.registry.has_room() and hub.shift.catalog.runs_here("orchestration", operation.name)


def restart(hub: Hub, operation: RestartInstance, done: Answer) -> None:
    """`RestartInstance`: a start with the name and input of an instance, under its id or a new one."""

    def found(answer: list[InstanceRecord] | StoreError) -> None:
        if isinstance(answer, StoreError):
            done(unavailable(answer))
            return
        record = answer[0] if answer else None
        if record is None or record.kind is InstanceKind.ENTITY:
            done(not_found(operation.instance_id))
            return
        new_id = None if operation.new_id else record.instance_id
        again = StartInstance(
            record.name,
            new_id,
            record.input,
            record.version,
            record.tags,
            trace=operation.trace,
            by=operation.by,
        )
        start(hub, again, done, f"restart:{record.instance_id}")

    hub.store.find([operation.instance_id], found)


def entering(hub: Hub, trace: str | None) -> str | None:
    """The trace context of work that comes in with `trace`, None where nobody traces."""
    sampling = hub.options.sampling
    return None if sampling is None else sampling.entering(trace, _new_id(hub))


def _new_id(hub: Hub) -> str:
    """A generated instance id: 32 lower-case hex digits (sdk-api.md 5.3)."""
    high, low = (int(hub.clock.random() * 2**52) << 12 | int(hub.clock.random() * 2**12) for _ in range(2))
    return f"{high:016x}{low:016x}"
