"""Planted faults: the simulation must find each of them, and name the invariant that it violates."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import pytest

from perdure.engine import decide, entities, lifecycle
from perdure.model.commit_plan import CommitAnswer, CreationVerdict, MessageVerdict
from perdure.model.operations import Done
from perdure.storage import memory, memory_tables
from perdure.taskhub import code_turns, committer, ownership, purging, registry, settlement
from perdure.testing import invariants, simulation
from perdure.testing.client_scripts import Violation
from perdure.testing.simulation import Failure, Settings, simulate

#: seeds tried before a planted fault counts as not found
_SEEDS = 40
_MIXED = ("chain", "eternal", "fan-out", "collector", "program", "parent", "collector", "eternal")


def settings(seed: int, clients: tuple[str, ...] = _MIXED, faults: tuple[str, ...] = (), hosts: int = 3) -> Settings:
    return Settings(seed, hosts, clients, faults, limit=400.0)


def caught(found: Callable[[int], Settings]) -> str:
    """The invariant that the first failing seed names."""
    for seed in range(_SEEDS):
        try:
            simulate(found(seed))
        except Failure as failure:
            cause = failure.__cause__
            assert isinstance(cause, Violation), failure
            return cause.name
    return f"nothing in {_SEEDS} seeds"


def keep_session(self: Any, instance: Any) -> None:
    """`Registry.abandon` without dropping the session."""
    self.forget(instance)
    instance.ticket += 1


def cursor_on_the_sequence(self: Any, token: int, done: Any) -> None:
    """A host that reads only above the last number it has seen."""

    def above(answer: Any) -> None:
        if isinstance(answer, list):
            last = getattr(self, "last", 0)
            self.last = max([last, *(seq for _, seq in answer)])
            answer = [(n, seq) for n, seq in answer if seq > last]
        done(answer)

    memory.MemoryStore.waiting(self, token, above)


def owners_at_begin(self: Any, batch: Any) -> Any:
    self.owners = {n: record.owner for n, record in self.database.tables.instances.items()}
    return memory.MemoryStore._rows_of(self, batch)


def owner_before_commit(self: Any, batch: Any, seq: Any, passed_over: Any) -> CommitAnswer:
    """Verdicts name the owners that were known when the commit began."""
    answer = memory.MemoryStore._apply(self, batch, seq, passed_over)
    messages = tuple(MessageVerdict(m.seq, m.n, self.owners.get(m.n, m.owner)) for m in answer.messages)
    changed = memory_tables.replace(answer, messages=messages)
    self.monitor.committed(batch, changed)
    return changed


def outage_counts(self: Any) -> None:
    """`Ownership.start_anew` that keeps the clocks running while the store does not answer."""


def forget_refusal(self: Any, new: Any, verdicts: dict[int, CreationVerdict]) -> CreationVerdict:
    return verdicts[new.n]


def any_result(self: Any, result: Any) -> MessageVerdict:
    """A result is taken whoever holds the claim, and again when it comes again."""
    message = result.message
    self.tables.delete_work([(message.n, message.generation, message.task)])
    return self._send(message)


def owner_is_enough(self: Any, n: int, turn: int) -> bool:
    record = self.tables.instances.get(n)
    return record is not None and record.owner == self.token


def dead_may_write(self: Any, batch: Any, seq: Any, passed_over: Any) -> CommitAnswer:
    host = self.database.tables.hosts[batch.token]
    dead, host.dead = host.dead, False
    answer = memory.MemoryStore._apply(self, batch, seq, passed_over)
    host.dead = dead
    self.monitor.committed(batch, answer)
    return answer


def keep_consumed(self: Any, n: int, numbers: list[int]) -> None:
    """The first consumed row of each turn stays in the inbox."""
    _delete_messages(self, n, numbers[1:])


_delete_messages = memory_tables.Tables.delete_messages


def lose_some(self: Any, message: Any, ahead: int = 0) -> MessageVerdict:
    """Every seventh message is acknowledged and not written."""
    verdict = _send(self, message, ahead)
    if verdict.seq % 7 == 3:
        _delete_messages(self.tables, verdict.n, [verdict.seq])
    return verdict


_send = memory_tables.Application._send


def acknowledge_early(self: Any, message: Any, done: Any) -> None:
    self._hub.committer.send(message, lambda verdict: None)
    self._hub.clock.soon(lambda: done(Done()))


def fire_early(self: Any) -> None:
    """Timers that are due within the next second fire now."""
    heap = self._heap
    self._heap = [(due - 500_000, seq, n) for due, seq, n in heap]
    _fire(self)


_fire = registry.TimerWindow._fire


def repeat_under_a_new_number(self: Any, batch: Any, started: float) -> None:
    """A commit whose answer was lost is done again, as a new one."""
    self._number += 1
    items = self._flying or []
    self._clock.later(0.1, lambda: self._flying is items and self._submit(items))


def no_wakes_no_looks(self: Any, *arguments: Any) -> None:
    """Nothing is learnt of what other hosts sent."""
    if arguments and callable(arguments[0]):
        arguments[0]()


def purge_keeps_history(self: Any, n: int) -> None:
    history = self.history.pop(n, None)
    _delete_instance(self, n)
    if history:
        self.history[n] = history


_delete_instance = memory_tables.Tables.delete_instance


def start_before_commit(self: Any, instance: Any, decision: Any) -> None:
    """Activities start before the commit that schedules them is durable."""
    _commit(self, instance, decision)
    activities = self._shift.activities
    activities.unreserve(decision.plan.work)
    for item in decision.plan.work:
        if item.owner == self._shift.token:
            activities._start(item)


_commit = settlement.Settlement.commit


def drop_carried(draft: Any, intake: Any, outcome: Any, finish: Any) -> Any:
    """Events that nobody consumed end with their generation."""
    return _continue_as_new(draft, intake, outcome, memory_tables.replace(finish, carry=()))


_continue_as_new = decide._continue_as_new


def wrong_time(time: int) -> Any:
    """History records another time than the code saw."""
    return _orchestrator_started(time + 1000)


_orchestrator_started = decide.OrchestratorStarted


def apply(*patches: Any) -> Callable[[], ExitStack]:
    def enter() -> ExitStack:
        stack = ExitStack()
        for one in patches:
            stack.enter_context(one())
        return stack

    return enter


def put(owner: Any, name: str, value: Any) -> Callable[[], Any]:
    return lambda: patch.object(owner, name, value, create=not hasattr(owner, name))


def unlock_nothing(*_: Any) -> list[Any]:
    return []


def lock_for_all(state: Any, waiting: Any, limit: int) -> Any:
    """Entities take lock requests and operations as if nobody held the lock."""
    return _next_step(memory_tables.replace(state, lock_holder=0), waiting, limit)


_next_step = entities.next_step


_TAKEN_OVER = ("pause", "slow store", "worker death")

MUTATIONS: dict[str, tuple[Callable[[], ExitStack], Callable[[int], Settings], set[str]]] = {
    "session kept after a fenced turn": (
        apply(put(registry.Registry, "abandon", keep_session)),
        lambda seed: settings(seed, faults=("pause", "slow store")),
        {invariants.SESSION},
    ),
    "result accepted from an older generation": (
        apply(
            put(code_turns, "is_stale", lambda *_: False),
            put(decide, "is_stale", lambda *_: False),
        ),
        lambda seed: settings(seed, ("eternal",) * 8),
        {invariants.ASKED, invariants.ONCE},
    ),
    "cursor on the sequence": (
        apply(
            put(simulation.WatchedStore, "waiting", cursor_on_the_sequence),
            put(simulation.HostWakes, "wake", lambda *_: None),
        ),
        lambda seed: settings(seed, ("fan-out", "approval") * 7, ("slow store", "lost wakes"), 4),
        {invariants.LIVE, invariants.ORDER},
    ),
    "owner read before commit": (
        apply(
            put(simulation.WatchedStore, "_rows_of", owners_at_begin),
            put(simulation.WatchedStore, "_apply", owner_before_commit),
        ),
        lambda seed: settings(seed, ("collector",) * 12, ("crash", "stop", "slow store")),
        {invariants.OWNER},
    ),
    "claim counted dead after a store outage": (
        apply(put(ownership.Ownership, "start_anew", outage_counts)),
        lambda seed: settings(seed, faults=("outage",)),
        {invariants.ALIVE},
    ),
    "refusal of a child start forgotten": (
        apply(put(memory_tables.Application, "_verdict_of", forget_refusal)),
        lambda seed: settings(seed, ("rivals",) * 4),
        {invariants.LIVE},
    ),
    "result taken without the claim": (
        apply(put(memory_tables.Application, "_result", any_result)),
        lambda seed: settings(seed, ("fan-out",) * 6, _TAKEN_OVER),
        {invariants.ONCE, invariants.ASKED},
    ),
    "turn applied on another turn": (
        apply(put(memory_tables.Application, "_stands_at", owner_is_enough)),
        lambda seed: settings(seed, faults=("lost answers", "pause", "slow store")),
        {invariants.TURNS},
    ),
    "a dead host may write": (
        apply(put(simulation.WatchedStore, "_apply", dead_may_write)),
        lambda seed: settings(seed, faults=("pause",)),
        {invariants.WRITER},
    ),
    "consumed messages are kept": (
        apply(put(memory_tables.Tables, "delete_messages", keep_consumed)),
        lambda seed: settings(seed, faults=("crash",)),
        {invariants.ONCE, invariants.LEFT, "messages take effect once"},
    ),
    "messages are lost": (
        apply(put(memory_tables.Application, "_send", lose_some)),
        lambda seed: settings(seed),
        {invariants.DURABLE, invariants.LIVE},
    ),
    "acknowledged before durable": (
        apply(put(simulation.HubClient, "_send", acknowledge_early)),
        lambda seed: settings(seed, ("collector",) * 4),
        {invariants.DURABLE},
    ),
    "timers fire early": (
        apply(put(registry.TimerWindow, "_fire", fire_early)),
        lambda seed: settings(seed, ("eternal", "program", "program")),
        {invariants.TIME, "right output"},
    ),
    "a commit repeated under a new number": (
        apply(put(committer.Committer, "_ask_again", repeat_under_a_new_number)),
        lambda seed: settings(seed, ("collector",) * 6, ("lost answers",)),
        {"messages take effect once", invariants.DURABLE},
    ),
    "activities of a host taken for dead": (
        apply(put(committer.Committer, "is_current", lambda self: True)),
        lambda seed: settings(seed, ("fan-out",) * 8, ("pause", "slow store")),
        {invariants.AGAIN},
    ),
    "messages of other hosts are not looked for": (
        apply(
            put(registry.Registry, "look", no_wakes_no_looks),
            put(registry.Registry, "refresh", no_wakes_no_looks),
        ),
        lambda seed: settings(seed, ("collector", "approval") * 4),
        {invariants.LIVE, invariants.ORDER},
    ),
    "purge leaves the history": (
        apply(put(memory_tables.Tables, "delete_instance", purge_keeps_history)),
        lambda seed: settings(seed, ("purge", "singleton", "collector") * 3),
        {invariants.LEFT},
    ),
    "activities start before the commit": (
        apply(put(settlement.Settlement, "commit", start_before_commit)),
        lambda seed: settings(seed, faults=("pause", "slow store")),
        {invariants.ONCE, invariants.AGAIN, invariants.ASKED},
    ),
    "unconsumed events end with their generation": (
        apply(put(decide, "_continue_as_new", drop_carried)),
        lambda seed: settings(seed, ("collector",) * 6),
        {invariants.LIVE, invariants.DURABLE},
    ),
    "lock not released by purge": (
        apply(put(purging, "unlocks", unlock_nothing)),
        lambda seed: settings(seed, ("locks",) * 4),
        {invariants.LIVE},
    ),
    "lock not released by terminate": (
        apply(put(lifecycle, "unlocks", unlock_nothing)),
        lambda seed: settings(seed, ("locks",) * 4),
        {invariants.LIVE},
    ),
    "lock given to a second holder": (
        apply(put(entities, "next_step", lock_for_all)),
        lambda seed: settings(seed, ("bank", "bank", "locks")),
        {invariants.LOCK, "messages take effect once", "right output"},
    ),
    "history records another time": (
        apply(put(decide, "OrchestratorStarted", wrong_time)),
        lambda seed: settings(seed, ("program",) * 8),
        {invariants.REPLAY, invariants.SESSION},
    ),
}


@pytest.mark.parametrize("name", list(MUTATIONS))
def test_a_planted_fault_is_found_and_named(name: str) -> None:
    mutation, found, names = MUTATIONS[name]
    with mutation():
        assert caught(found) in names


def test_without_a_planted_fault_the_same_settings_hold() -> None:
    for _, found, _ in MUTATIONS.values():
        simulate(found(0))


def test_a_failure_names_seed_invariant_and_trace() -> None:
    mutation, found, _ = MUTATIONS["refusal of a child start forgotten"]
    with mutation(), pytest.raises(Failure) as failure:
        for seed in range(_SEEDS):
            simulate(found(seed))
    text = str(failure.value)
    assert "seed " in text
    assert invariants.LIVE in text
    assert "rivals" in text
