"""The commands that change instances and entities: start, events, control, signals."""

from __future__ import annotations

import time
import uuid
from enum import Enum
from typing import Annotated

import typer

from perdure.cli.durable import arguments
from perdure.cli.durable.declaring import declared
from perdure.cli.durable.output import print_json
from perdure.cli.durable.reading import Id, IdFlag, ended, find, the_id
from perdure.cli.durable.shapes import state_json
from perdure.cli.durable.target import CommandFailed, Target
from perdure.cli.errors import TIMED_OUT, USAGE
from perdure.model.history_view import full_time
from perdure.model.instance import RuntimeStatus
from perdure.model.operations import (
    Done,
    ExistingPolicy,
    Found,
    GetInstance,
    Operation,
    RaiseEvent,
    RestartInstance,
    ResumeInstance,
    RewindInstance,
    SignalEntityOperation,
    Started,
    StartInstance,
    SuspendInstance,
    TerminateInstance,
)

app = typer.Typer()

Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why, for the history.")]
_REWIND_SECONDS = 3.0
_LOOK_SECONDS = 0.05


class IfExists(str, Enum):
    """What a start does when the id is in use."""

    FAIL = "fail"
    RETURN = "return"
    REPLACE_FINISHED = "replace-finished"
    TERMINATE = "terminate-and-replace"


_POLICIES = {
    IfExists.FAIL: ExistingPolicy.FAIL_IF_EXISTS,
    IfExists.RETURN: ExistingPolicy.RETURN_EXISTING,
    IfExists.REPLACE_FINISHED: ExistingPolicy.FAIL_IF_RUNNING,
    IfExists.TERMINATE: ExistingPolicy.REPLACE_ANY,
}


@declared(app, "start-new")
def start_new(
    target: Target,
    function_name: Annotated[str, typer.Option("--function-name", metavar="NAME", help="The orchestrator.")],
    instance_id: Annotated[str | None, typer.Option("--id", metavar="ID", help="The id (a new one).")] = None,
    input: Annotated[
        str | None, typer.Option("--input", metavar="JSON", help="JSON, else a text; @FILE reads JSON.")
    ] = None,
    input_text: Annotated[str | None, typer.Option("--input-text", metavar="TEXT", help="A text as it is.")] = None,
    version: Annotated[
        str | None, typer.Option("--version", metavar="TEXT", help="Of the orchestrator (the app's).")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="May be repeated.")] = None,
    start_at: Annotated[str | None, typer.Option("--start-at", metavar="TIME", help="Start then (now).")] = None,
    if_exists: Annotated[
        IfExists | None,
        typer.Option(
            "--if-exists",
            metavar="WHAT",
            help="When the id is in use (as host.json says): fail, return, replace-finished, terminate-and-replace.",
        ),
    ] = None,
) -> None:
    """Start an orchestration."""
    operation = StartInstance(
        function_name,
        instance_id or uuid.uuid4().hex,
        arguments.payload("input", input, input_text),
        version,
        arguments.tags(tag),
        arguments.moment("start-at", start_at) or 0,
        None if if_exists is None else _POLICIES[if_exists],
    )
    try:
        started = target.expect(operation, Started)
    except CommandFailed as error:
        raise CommandFailed(f"Could not start new instance '{operation.instance_id}'. {error}", error.code) from None
    record = target.expect(GetInstance(started.instance_id), Found).record
    if target.json:
        print_json(state_json(record))
    elif started.existed:
        print(
            f"Nothing was started: instance '{record.instance_id}' of '{record.name}' is there since "
            f"{full_time(record.created)}, its status is {record.status.label}."
        )
    else:
        print(f"Started '{function_name}' at {full_time(record.created)}. Instance ID: '{record.instance_id}'.")


@declared(app, "raise-event")
def raise_event(
    target: Target,
    instance_id: Id = None,
    id_flag: IdFlag = None,
    event_name: Annotated[
        str | None, typer.Option("--event-name", metavar="NAME", help="The event (a made-up one).")
    ] = None,
    event_data: Annotated[
        str | None, typer.Option("--event-data", metavar="JSON", help="JSON, else a text; @FILE reads JSON.")
    ] = None,
    event_data_text: Annotated[
        str | None, typer.Option("--event-data-text", metavar="TEXT", help="A text as it is.")
    ] = None,
) -> None:
    """Raise an external event."""
    identifier = the_id(instance_id, id_flag)
    name = event_name or f"Event_{uuid.uuid4().hex}"
    data = arguments.payload("event-data", event_data, event_data_text)
    _control(target, identifier, RaiseEvent(identifier, name, "null" if data is None else data))
    _say(target, identifier, f"Raised event '{name}' to instance '{identifier}'.")


@declared(app, "terminate")
def terminate(
    target: Target,
    instance_id: Id = None,
    id_flag: IdFlag = None,
    reason: Reason = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, metavar="SECONDS", help="Wait so long for the end.")
    ] = 30.0,
) -> None:
    """Terminate an instance, and wait until it has ended."""
    identifier = the_id(instance_id, id_flag)
    text = f"Failed to find instance '{identifier}'. No instance was terminated."
    target.expect(TerminateInstance(identifier, reason), Done, text)
    if not target.json:
        print(
            f"Sent a termination message to instance '{identifier}'. Waiting up to {timeout:g} seconds for the "
            "orchestration to actually terminate...",
            flush=True,
        )
    record = ended(target, identifier, timeout)
    if record is None:
        raise CommandFailed(
            "Instance did not terminate within the given timeout. It ends as soon as a host of the hub takes it.",
            TIMED_OUT,
        )
    _say(target, identifier, f"Successfully terminated '{identifier}'")


@declared(app, "suspend")
def suspend(target: Target, instance_id: Id = None, id_flag: IdFlag = None, reason: Reason = None) -> None:
    """Suspend an instance: it takes no more turns until it is resumed."""
    identifier = the_id(instance_id, id_flag)
    _control(target, identifier, SuspendInstance(identifier, reason))
    _say(target, identifier, f"Sent a suspend message to instance '{identifier}'.")


@declared(app, "resume")
def resume(target: Target, instance_id: Id = None, id_flag: IdFlag = None, reason: Reason = None) -> None:
    """Resume a suspended instance."""
    identifier = the_id(instance_id, id_flag)
    _control(target, identifier, ResumeInstance(identifier, reason))
    _say(target, identifier, f"Sent a resume message to instance '{identifier}'.")


@declared(app, "rewind")
def rewind(target: Target, instance_id: Id = None, id_flag: IdFlag = None, reason: Reason = None) -> None:
    """Run again what failed in a failed instance."""
    identifier = the_id(instance_id, id_flag)
    before = find(target, identifier)
    if before.status is not RuntimeStatus.FAILED:
        raise CommandFailed(
            "Orchestration instance not rewound. Must have a status of 'Failed', or an EventType of 'TaskFailed' or "
            f"'SubOrchestrationInstanceFailed' to be rewound. It is {before.status.label}."
        )
    _control(target, identifier, RewindInstance(identifier, reason))
    if not target.json:
        print(f"Rewind message sent to instance '{identifier}'. Retrieving new status now...", flush=True)
    end = time.monotonic() + _REWIND_SECONDS
    after = find(target, identifier)
    while after.turn == before.turn and time.monotonic() < end:
        time.sleep(_LOOK_SECONDS)
        after = find(target, identifier)
    if target.json:
        print_json(state_json(after))
    else:
        print(f"Status before rewind: {before.status.label}")
        print(f"Status after rewind: {after.status.label}")


@declared(app, "restart")
def restart(
    target: Target,
    instance_id: Id = None,
    id_flag: IdFlag = None,
    new_id: Annotated[
        bool,
        typer.Option("--new-id/--same-id", help="Under a new id, or its own.", show_default=False),
    ] = True,
) -> None:
    """Start an orchestration again with its original input."""
    identifier = the_id(instance_id, id_flag)
    text = f"Could not find an orchestration instance with id '{identifier}'"
    started = target.expect(RestartInstance(identifier, new_id), Started, text).instance_id
    _say(target, started, f"Restarted '{identifier}'. Instance ID: '{started}'.")


@declared(app, "signal-entity")
def signal_entity(
    target: Target,
    entity_id: Annotated[str | None, typer.Argument(metavar="ENTITY", help="@name@key")] = None,
    id_flag: Annotated[str | None, typer.Option("--id", metavar="ENTITY", help="@name@key")] = None,
    entity_name: Annotated[str | None, typer.Option("--entity-name", metavar="NAME", help="Its name.")] = None,
    entity_key: Annotated[str | None, typer.Option("--entity-key", metavar="KEY", help="Its key.")] = None,
    operation: Annotated[str, typer.Option("--operation", metavar="NAME", help="The operation.")] = "",
    input: Annotated[
        str | None, typer.Option("--input", metavar="JSON", help="JSON, else a text; @FILE reads JSON.")
    ] = None,
    input_text: Annotated[str | None, typer.Option("--input-text", metavar="TEXT", help="A text as it is.")] = None,
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="Deliver it then (now).")] = None,
) -> None:
    """Send an operation to an entity, without waiting."""
    entity = arguments.entity(id_flag or entity_id, entity_name, entity_key)
    if not operation:
        raise CommandFailed(f"Which operation of entity '{entity}'? Give its name: --operation NAME.", USAGE)
    data = arguments.payload("input", input, input_text)
    target.expect(SignalEntityOperation(entity, operation, data, arguments.moment("at", at) or 0), Done)
    if target.json:
        print_json({"EntityId": entity, "Operation": operation})
    else:
        print(f"Signaled operation '{operation}' to entity '{entity}'.")


def _control(target: Target, identifier: str, operation: Operation) -> None:
    target.expect(operation, Done, f"Could not find an orchestration instance with id '{identifier}'")


def _say(target: Target, identifier: str, text: str) -> None:
    """The sentence for people, or the state object for scripts."""
    if target.json:
        print_json(state_json(find(target, identifier)))
    else:
        print(text)
