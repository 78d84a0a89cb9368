"""One batch becomes rows: the commit of design 6.1 inside an open transaction.

The phases follow `CommitBatch`. Each collects its rows in Python and hands them to SQLite by `executemany`, so that
what a commit costs depends on its own size alone.
"""

from __future__ import annotations

from perdure.model.commit_plan import (
    CommitAnswer,
    CommitBatch,
    CreationVerdict,
    Message,
    Release,
    TurnPlan,
    TurnVerdict,
    Verdict,
)
from perdure.storage.sqlite.audit import record_operations
from perdure.storage.sqlite.instances import create_all, purge_all
from perdure.storage.sqlite.messages import Outbox
from perdure.storage.sqlite.statements import SQL
from perdure.storage.sqlite.turns import advance, park, survivors, write_chunk
from perdure.storage.sqlite.writes import Rows, Writes

_FENCED = TurnVerdict(Verdict.FENCED)
_APPLIED = TurnVerdict(Verdict.APPLIED)


def apply(writes: Writes, batch: CommitBatch, now: int) -> CommitAnswer:
    """Write everything and say what became of each item: turns, then instances that go and come, messages last, so
    that they see all of it."""
    outbox = Outbox(writes)
    work: Rows = []
    consequences: list[Message] = []
    surviving = survivors(writes, batch.turns)
    parkings = tuple([park(writes, parking) for parking in batch.parkings])
    advance(writes, surviving)
    chunks = tuple([write_chunk(writes, chunk, work) for chunk in batch.chunks])
    _release(writes, batch.releases)
    purges = purge_all(writes, batch.purges, consequences)
    news = [*batch.creations, *(new for plan, _ in surviving.values() for new in plan.creations)]
    created = create_all(writes, news)
    results = tuple([outbox.result(result) for result in batch.results])
    creations = tuple([outbox.refuse(new, created[new.n]) for new in batch.creations])
    turns = tuple(
        [
            _rest_of_turn(writes, plan, outbox, work, created)
            if plan.n in surviving and surviving[plan.n][0] is plan
            else _FENCED
            for plan in batch.turns
        ]
    )
    messages = outbox.send_all(batch.messages)
    for message in consequences:
        writes.known.fetch(writes.connection, writes.hub, message.n)
        outbox.send(message)
    # an instance may have gone since, in this very commit
    writes.many(SQL.add_work, [row for row in work if row[0] in writes.known.by_number])
    outbox.write()
    _give_back_and_record(writes, batch)
    record_operations(writes, batch, messages, creations, purges)
    return CommitAnswer(
        number=batch.number,
        time=now,
        turns=turns,
        chunks=chunks,
        creations=creations,
        messages=messages,
        results=results,
        parkings=parkings,
        purges=purges,
    )


def _rest_of_turn(
    writes: Writes, plan: TurnPlan, outbox: Outbox, work: Rows, created: dict[int, CreationVerdict]
) -> TurnVerdict:
    """The activities, messages and children of a turn that was applied."""
    if plan.work:
        writes.work_rows(plan.work, work)
    if not plan.messages and not plan.creations:
        return _APPLIED
    messages = outbox.send_all(plan.messages)
    return TurnVerdict(Verdict.APPLIED, messages, tuple([outbox.refuse(new, created[new.n]) for new in plan.creations]))


def _release(writes: Writes, releases: tuple[Release, ...]) -> None:
    writes.many(SQL.release, [(one.not_before, one.n, writes.token) for one in releases])
    for one in releases:
        standing = writes.owned(one.n)
        if standing is not None:
            standing.owner = 0


def _give_back_and_record(writes: Writes, batch: CommitBatch) -> None:
    """Claims given back, and attempts for people to look at."""
    writes.many(
        SQL.return_work,
        [(one.suspect, one.not_before, one.n, one.generation, one.task, writes.token) for one in batch.returns],
    )
    writes.many(
        SQL.add_attempt,
        [
            (
                one.n,
                one.generation,
                one.task,
                one.attempt,
                one.scheduled,
                one.started,
                one.finished,
                one.host,
                one.worker,
                one.failure,
                one.n,
            )
            for one in batch.attempts
        ],
    )
