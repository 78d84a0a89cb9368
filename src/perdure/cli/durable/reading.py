"""The commands that read: statuses, history, lists, entities, waiting, why."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from perdure.cli.durable import arguments
from perdure.cli.durable.declaring import declared
from perdure.cli.durable.output import (
    Column,
    Narrow,
    cell,
    print_fields,
    print_json,
    print_table,
    state_fields,
)
from perdure.cli.durable.shapes import entity_json, history_json, state_json
from perdure.cli.durable.target import CommandFailed, Target
from perdure.cli.errors import DONE, FAILED, NOT_FOUND, TIMED_OUT, USAGE
from perdure.cli.numbers import seconds, whole
from perdure.model.history_view import full_time, whole_seconds
from perdure.model.instance import InstanceFilter, InstanceKind, InstanceRecord, RuntimeStatus
from perdure.model.operations import (
    AuditListed,
    EntityFound,
    Found,
    GetInstance,
    ListAudit,
    Listed,
    ListInstances,
    ReadEntity,
    RefusalCode,
    Refused,
)

app = typer.Typer()

Id = Annotated[str | None, typer.Argument(metavar="ID", help="The instance.")]
IdFlag = Annotated[str | None, typer.Option("--id", metavar="ID", help="The instance.")]
Watch = Annotated[bool, typer.Option("--watch", help="Show it again whenever it changes, until Ctrl+C or the end.")]
_WATCH_SECONDS = 0.5
_FIRST_LOOK, _SLOWEST_LOOK = 0.02, 0.5
_PAGE = 1000


def the_id(argument: str | None, flag: str | None) -> str:
    """The id that was given, either way. Raises `CommandFailed`."""
    if argument is not None and flag is not None and argument != flag:
        raise CommandFailed(f"Which instance, '{argument}' or '{flag}'? Give one id.", USAGE)
    found = argument if flag is None else flag
    if not found:
        raise CommandFailed("Which instance? Give its id: --id ID.", USAGE)
    return found


def find(target: Target, instance_id: str) -> InstanceRecord:
    """The instance. Raises `CommandFailed` when there is none."""
    text = f"Could not find an orchestration instance with id '{instance_id}'"
    return target.expect(GetInstance(instance_id), Found, text).record


@declared(app, "get-runtime-status")
def get_runtime_status(
    target: Target,
    instance_id: Id = None,
    id_flag: IdFlag = None,
    show_input: Annotated[
        bool, typer.Option("--show-input/--no-show-input", help="The input (no).", show_default=False)
    ] = False,
    show_output: Annotated[
        bool, typer.Option("--show-output/--no-show-output", help="The output (no).", show_default=False)
    ] = False,
    watch: Watch = False,
) -> None:
    """Show the status of an instance."""
    identifier = the_id(instance_id, id_flag)

    def show() -> bool:
        record = find(target, identifier)
        value = state_json(record, show_input=show_input, show_output=show_output)
        fields = state_fields(record, show_input, show_output)
        changed(value, lambda: print_json(value) if target.json else print_fields(fields))
        return record.status.is_terminal

    changed = _Changes()
    _repeated(show, watch)


class _Changes:
    """Shows a value when it is another one than before."""

    def __init__(self) -> None:
        self._last: Any = None

    def __call__(self, value: Any, show: Callable[[], None]) -> None:
        if value != self._last:
            if self._last is not None:
                print()
            show()
            sys.stdout.flush()
            self._last = value


def _repeated(show: Callable[[], bool], watch: bool) -> None:
    while not show() and watch:
        time.sleep(_WATCH_SECONDS)


@declared(app, "get-history")
def get_history(target: Target, instance_id: Id = None, id_flag: IdFlag = None) -> None:
    """Show the history of an instance: the events of its current generation, oldest first."""
    identifier = the_id(instance_id, id_flag)
    text = f"Could not find an orchestration instance with id '{identifier}'"
    found = target.expect(GetInstance(identifier, with_history=True), Found, text)
    events = history_json(found.record, found.history or [])
    if target.json:
        print_json(events)
        return
    times = [event["Timestamp"] for event in events]
    one_day = len({time[:10] for time in times}) == 1
    rows = (
        (
            event["Timestamp"].replace("T", " ")[11 if one_day else 0 : 23],
            event["EventType"],
            _task(event),
            event.get("Name") or event.get("Operation") or "",
            _details(event),
        )
        for event in events
    )
    columns = (
        Column("Time"),
        Column("Event", Narrow.CUT, 26),
        Column("Id"),
        Column("Name", Narrow.CUT),
        Column("Details", Narrow.CUT),
    )
    day = f", {times[0][:10]} (UTC)" if one_day else ""
    print_table(columns, rows, title=f"{identifier}{day}")


_IN_COLUMNS = frozenset({
    "EventType", "EventId", "TaskScheduledId", "TimerId", "IsPlayed", "Timestamp", "Name", "Operation",
    "OrchestrationInstance", "ParentInstance", "Version", "Tags", "FailureDetails",
})  # fmt: skip


def _task(event: dict[str, Any]) -> str:
    """The number that a task and its result have in common."""
    number = event.get("TaskScheduledId", event.get("TimerId", event["EventId"]))
    return str(number) if number >= 0 else ""


def _details(event: dict[str, Any]) -> str:
    """The other properties of an event that have a value, on one line; payloads stay the JSON that they are."""
    shown = ((name, value) for name, value in event.items() if name not in _IN_COLUMNS and value is not None)
    return "; ".join(f"{name}: {cell(value)}" for name, value in shown)


@declared(app, "get-instances")
def get_instances(
    target: Target,
    created_after: Annotated[
        str | None, typer.Option("--created-after", metavar="TIME", help="Created then or later.")
    ] = None,
    created_before: Annotated[
        str | None, typer.Option("--created-before", metavar="TIME", help="Created then or earlier.")
    ] = None,
    runtime_status: Annotated[
        str | None, typer.Option("--runtime-status", metavar="STATUSES", help="In any case, with spaces between.")
    ] = None,
    top: Annotated[int, typer.Option("--top", parser=whole(1), metavar="N", help="Instances on one page.")] = 10,
    continuation_token: Annotated[
        str | None, typer.Option("--continuation-token", metavar="TOKEN", help="Go on where the last page ended.")
    ] = None,
    id_prefix: Annotated[str | None, typer.Option("--id-prefix", metavar="TEXT", help="The id begins with it.")] = None,
    name_prefix: Annotated[
        str | None, typer.Option("--name-prefix", metavar="TEXT", help="The name begins with it.")
    ] = None,
    parent: Annotated[str | None, typer.Option("--parent", metavar="ID", help="Children of this instance.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="With this tag; may be repeated.")
    ] = None,
    watch: Watch = False,
) -> None:
    """List orchestrations, oldest first."""
    chosen = InstanceFilter(
        created_from=arguments.moment("created-after", created_after),
        created_to=arguments.moment("created-before", created_before),
        statuses=arguments.statuses(runtime_status),
        id_prefix=id_prefix,
        name_prefix=name_prefix,
        parent_id=parent,
        tags=arguments.tags(tag),
        kinds=(int(InstanceKind.ORCHESTRATION),),
    )
    changed = _Changes()

    def show() -> bool:
        records, token = page(target, chosen, top, continuation_token or None)
        value = [state_json(record) for record in records]
        changed(value, lambda: print_json(value) if target.json else _print_instances(records))
        # what scripts parse stays pure JSON
        line = f"Continuation token for next set of results: '{token or ''}'"
        if not watch:
            print(line, file=sys.stderr if target.json else sys.stdout)
        return False

    _repeated(show, watch)


def page(
    target: Target, chosen: InstanceFilter, top: int, continuation: str | None
) -> tuple[list[InstanceRecord], str | None]:
    """Up to `top` records and where the next ones begin; asked for in pages that a host gives out."""
    records: list[InstanceRecord] = []
    while True:
        operation = ListInstances(chosen, min(top - len(records), _PAGE), continuation)
        answer = target.ask(operation)
        if isinstance(answer, Refused):
            wrong = continuation is not None and answer.code is RefusalCode.BAD_REQUEST
            raise CommandFailed(f"--continuation-token: {answer.text}" if wrong else answer.text)
        assert isinstance(answer, Listed), answer
        records += answer.items
        continuation = answer.continuation
        if continuation is None or len(records) >= top:
            return records, continuation


def _print_instances(records: list[InstanceRecord]) -> None:
    rows = (
        (
            record.instance_id,
            record.name,
            record.status.label,
            whole_seconds(record.created),
            whole_seconds(record.updated or record.created),
            cell(record.custom_status),
        )
        for record in records
    )
    columns = (
        Column("Instance"),
        Column("Name", Narrow.CUT),
        Column("Status"),
        Column("Created"),
        Column("Last updated", Narrow.LEAVE_OUT),
        Column("Custom status", Narrow.LEAVE_OUT),
    )
    print_table(columns, rows)


@declared(app, "list-entities")
def list_entities(
    target: Target,
    entity_name: Annotated[str | None, typer.Option("--entity-name", metavar="NAME", help="Of this name.")] = None,
    top: Annotated[int, typer.Option("--top", parser=whole(1), metavar="N", help="Entities on one page.")] = 100,
    continuation_token: Annotated[
        str | None, typer.Option("--continuation-token", metavar="TOKEN", help="Go on where the last page ended.")
    ] = None,
) -> None:
    """List entities that have a state."""
    chosen = InstanceFilter(
        kinds=(int(InstanceKind.ENTITY),), id_prefix=None if entity_name is None else f"@{entity_name.lower()}@"
    )
    records, token = page(target, chosen, top, continuation_token or None)
    shown = [record for record in records if record.state is not None]
    if target.json:
        print_json([entity_json(record) for record in shown])
    else:
        rows = ((cell(r.instance_id), whole_seconds(r.updated or r.created), cell(r.state)) for r in shown)
        print_table((Column("Entity"), Column("Last operation"), Column("State", Narrow.CUT)), rows)
    line = f"Continuation token for next set of results: '{token or ''}'"
    print(line, file=sys.stderr if target.json else sys.stdout)


@declared(app, "get-entity")
def get_entity(
    target: Target,
    entity_id: Annotated[str | None, typer.Argument(metavar="ENTITY", help="@name@key")] = None,
    id_flag: Annotated[str | None, typer.Option("--id", metavar="ENTITY", help="@name@key")] = None,
    entity_name: Annotated[str | None, typer.Option("--entity-name", metavar="NAME", help="Its name.")] = None,
    entity_key: Annotated[str | None, typer.Option("--entity-key", metavar="KEY", help="Its key.")] = None,
) -> None:
    """Print the state of an entity as JSON."""
    entity = arguments.entity(id_flag or entity_id, entity_name, entity_key)
    answer = target.expect(ReadEntity(entity), EntityFound)
    if not answer.exists:
        raise CommandFailed(f"Entity '{entity}' has no state.", NOT_FOUND)
    if target.json:
        print_json(entity_json(target.expect(GetInstance(entity), Found).record))
    else:
        print_json(json.loads(answer.state or "null"))


@declared(app, "wait")
def wait(
    target: Target,
    instance_id: Id = None,
    id_flag: IdFlag = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", parser=seconds, metavar="SECONDS", help="Give up after this (never)."),
    ] = None,
) -> int:
    """Wait until an instance has ended. 0: it completed, 1: it ended otherwise, 4: there is none, 5: timed out."""
    identifier = the_id(instance_id, id_flag)
    record = ended(target, identifier, timeout)
    if record is None:
        raise CommandFailed(f"'{identifier}' has not ended within {timeout:g} s.", TIMED_OUT)
    if target.json:
        print_json(state_json(record))
    else:
        print_fields(state_fields(record, False, True))
    return DONE if record.status is RuntimeStatus.COMPLETED else FAILED


def ended(target: Target, instance_id: str, timeout: float | None) -> InstanceRecord | None:
    """The instance once it has ended, None when it has not within `timeout` seconds."""
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = _FIRST_LOOK
    while True:
        record = find(target, instance_id)
        if record.status.is_terminal:
            return record
        left = pause if deadline is None else deadline - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(pause, left))
        pause = min(pause * 1.3, _SLOWEST_LOOK)


@declared(app, "audit")
def audit(
    target: Target,
    instance_id: Id = None,
    id_flag: IdFlag = None,
    top: Annotated[int, typer.Option("--top", parser=whole(1, 1000), metavar="N", help="The latest ones.")] = 100,
) -> None:
    """Show who terminated, suspended, purged ... an instance, or (without ID) anything in the task hub."""
    entries = target.expect(ListAudit(instance_id or id_flag, top), AuditListed).entries
    names = ("Time", "Operation", "Target", "Who", "Reason", "Result")
    rows = [(full_time(e.time), e.operation, e.target, e.who, e.reason, e.result) for e in entries]
    if target.json:
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        narrow = (Narrow.KEEP, Narrow.CUT, Narrow.CUT, Narrow.CUT, Narrow.CUT, Narrow.LEAVE_OUT)
        columns = [Column(name, way) for name, way in zip(names, narrow, strict=True)]
        print_table(columns, ([value or "" for value in row] for row in rows))


@declared(app, "why")
def why(target: Target, instance_id: Id = None, id_flag: IdFlag = None) -> None:
    """Say in one paragraph why an instance is not moving."""
    from perdure.cli.durable.whereabouts import place_of
    from perdure.engine.waiting import explain
    from perdure.model.operations import Inspected, InspectInstance

    identifier = the_id(instance_id, id_flag)
    text = f"Could not find an instance with id '{identifier}'"
    found = target.expect(InspectInstance(identifier), Inspected, text)
    place = place_of(target.config, found)
    told = explain(found, place)
    if target.json:
        since = full_time(found.record.updated or found.record.created)
        print_json(
            {
                "InstanceId": identifier,
                "RuntimeStatus": found.record.status.label,
                "Since": since,
                "Location": place.location if place is not None else None,
                "WaitsFor": place.waits_for if place is not None else None,
                "Why": told,
            }
        )
    else:
        print(told)
