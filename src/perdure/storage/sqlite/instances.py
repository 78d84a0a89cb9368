"""Instances that come and go in a commit."""

from __future__ import annotations

from perdure.model.codec import encode_tags
from perdure.model.commit_plan import CreationVerdict, Message, NewInstance, Purge, Verdict
from perdure.storage.policies import replaces
from perdure.storage.sqlite import readiness
from perdure.storage.sqlite.standing import Standing, json_list
from perdure.storage.sqlite.statements import SQL
from perdure.storage.sqlite.writes import Rows, Writes

_PURGE = (
    SQL.purge_inbox,
    SQL.purge_history,
    SQL.purge_work,
    SQL.purge_attempts,
    SQL.purge_payloads,
    SQL.purge_audit,
    SQL.purge_instance,
)


def purge_all(writes: Writes, items: tuple[Purge, ...], sent: list[Message]) -> tuple[Verdict, ...]:
    """Delete instances, whoever owns them; what others are to be told is added to `sent`."""
    gone: list[Standing] = []
    verdicts = tuple([_purge(writes, item, gone, sent) for item in items])
    if gone:
        _delete(writes, gone)
    return verdicts


def _purge(writes: Writes, item: Purge, gone: list[Standing], sent: list[Message]) -> Verdict:
    standing = writes.known.by_number.get(item.n)
    if standing is None:
        return Verdict.REFUSED
    if item.turn not in (-1, standing.turn):
        return Verdict.FENCED
    if item.idle and writes.connection.execute(SQL.any_message, (item.n,)).fetchone():
        return Verdict.FENCED
    if item.parent_failure is not None and not standing.is_finished:
        sent.append(item.parent_failure)
    sent.extend(item.messages)
    writes.known.remove(standing)
    gone.append(standing)
    return Verdict.APPLIED


def _delete(writes: Writes, gone: list[Standing]) -> None:
    """Instances with everything that they have."""
    numbers = json_list([standing.n for standing in gone])
    for statement in _PURGE:
        writes.connection.execute(statement, (numbers,))
    for standing in gone:
        writes.touched[standing.n] = None


def create_all(writes: Writes, news: list[NewInstance]) -> dict[int, CreationVerdict]:
    """Verdicts by number, decided in the order of ids. Refusals are sent later."""
    if not news:
        return {}
    rows: Rows = []
    verdicts = {new.n: _create(writes, new, rows) for new in sorted(news, key=_id_of)}
    writes.many(SQL.add_instance, rows)
    writes.write_payloads()
    return verdicts


def create_entity(writes: Writes, new: NewInstance) -> Standing:
    """The instance that the first message to an entity makes."""
    create_all(writes, [new])
    return writes.known.by_number[new.n]


def _id_of(new: NewInstance) -> str:
    return new.instance_id


def _create(writes: Writes, new: NewInstance, rows: Rows) -> CreationVerdict:
    holder = writes.known.by_id.get(new.instance_id)
    if holder is not None:
        if not replaces(new.policy, holder.status):
            return CreationVerdict(Verdict.REFUSED, holder.n, holder.status)
        # the holder may be one of this very commit
        writes.many(SQL.add_instance, rows)
        rows.clear()
        writes.write_payloads()
        writes.known.remove(holder)
        _delete(writes, [holder])
    kind, status = int(new.kind), int(new.status)
    standing = Standing(
        (
            new.n,
            new.instance_id,
            new.owner,
            kind,
            0,
            0,
            status,
            0,
            0,
            0,
            0,
            0,
            new.parent_n,
            new.parent_generation,
            new.parent_task,
        )
    )
    standing.ready = int(readiness.mode(standing.least, kind, 0, 0) == readiness.READY)
    rows.append(
        (
            new.n,
            writes.hub,
            new.instance_id,
            kind,
            new.name,
            new.version,
            status,
            new.owner,
            standing.ready,
            new.not_before,
            new.parent_n,
            new.parent_generation,
            new.parent_task,
            new.parent_id,
            new.created,
            new.created,
            encode_tags(new.tags, new.trace),
            writes.cell(new.n, new.input),
        )
    )
    writes.known.add(standing)
    writes.touched[new.n] = None
    return CreationVerdict(Verdict.APPLIED, new.n)
