"""The commands that delete: they ask before, and show how far they are."""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec
import typer

from perdure.cli.durable import arguments
from perdure.cli.durable.declaring import declared
from perdure.cli.durable.output import Progress, print_json
from perdure.cli.durable.reading import find
from perdure.cli.durable.target import CommandFailed, Target
from perdure.cli.errors import USAGE
from perdure.model.history_view import full_time
from perdure.model.instance import TERMINAL, InstanceFilter, InstanceKind, RuntimeStatus
from perdure.model.operations import (
    Counted,
    CountInstances,
    DeleteTaskHub,
    Purged,
    PurgeInstance,
    PurgeInstances,
)

app = typer.Typer()

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
_AT_ONCE = 1000
_WOULD = "Instances that would be deleted"


@declared(app, "purge-history")
def purge_history(
    target: Target,
    created_after: Annotated[
        str | None, typer.Option("--created-after", metavar="TIME", help="Created then or later.")
    ] = None,
    created_before: Annotated[
        str | None, typer.Option("--created-before", metavar="TIME", help="Created then or earlier.")
    ] = None,
    runtime_status: Annotated[
        str | None, typer.Option("--runtime-status", metavar="STATUSES", help="With spaces between (all finished).")
    ] = None,
    id_flag: Annotated[str | None, typer.Option("--id", metavar="ID", help="This instance only.")] = None,
    include_running: Annotated[
        bool, typer.Option("--include-running", help="Delete instances that have not finished, too.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    yes: Yes = False,
) -> None:
    """Delete finished orchestrations with their history."""
    if id_flag is not None:
        if created_after is not None or created_before is not None or runtime_status is not None:
            raise CommandFailed("Give --id, or times and statuses, not both.", USAGE)
        _purge_one(target, id_flag, dry_run, yes)
        return
    first = arguments.moment("created-after", created_after)
    last = arguments.moment("created-before", created_before)
    statuses = arguments.statuses(runtime_status)
    if statuses and not include_running and not TERMINAL.intersection(statuses):
        raise CommandFailed(
            f"--runtime-status: instances that are {runtime_status} have not finished. Add --include-running to "
            "delete them.",
            USAGE,
        )
    chosen = InstanceFilter(
        created_from=first, created_to=last, statuses=statuses, kinds=(int(InstanceKind.ORCHESTRATION),)
    )
    operation = PurgeInstances(chosen, include_running)
    count = target.expect(msgspec.structs.replace(operation, dry_run=True), Purged).instances
    if dry_run:
        _report(target, count, None, _WOULD)
        return
    if count:
        _confirm(yes, f"Delete {_number(count)} of task hub {target.name}?")
    deleted = _in_steps(target, msgspec.structs.replace(operation, limit=_AT_ONCE), count)
    between = f"created between '{_limit(first, 'the beginning')}' and '{_limit(last, 'now')}'"
    matched = ",".join(RuntimeStatus(status).label for status in statuses)
    ending = f" and whose runtime status matched one of the following: [{matched}]" if matched else ""
    _report(target, deleted, f"Purged orchestration history for all instances {between}{ending}")


def _purge_one(target: Target, instance_id: str, dry_run: bool, yes: bool) -> None:
    """Whatever its status: who gives the id means that one."""
    if dry_run:
        find(target, instance_id)
        _report(target, 1, None, _WOULD)
        return
    _confirm(yes, f"Delete instance '{instance_id}' of task hub {target.name}?")
    text = f"Could not find an orchestration instance with id '{instance_id}'"
    _report(target, target.expect(PurgeInstance(instance_id), Purged, text).instances, None)


@declared(app, "delete-task-hub")
def delete_task_hub(target: Target, yes: Yes = False) -> None:
    """Delete everything in a task hub: orchestrations, running ones included, and entities."""
    counts = target.expect(CountInstances(InstanceFilter(), by_name=False), Counted).counts
    count = sum(number for of_name in counts.values() for number in of_name.values())
    _confirm(yes, f"Delete task hub {target.name} with {_number(count)}, running ones and entities included?")
    deleted = _in_steps(target, DeleteTaskHub(_AT_ONCE), count)
    if target.json:
        print_json({"TaskHub": target.hub, "InstancesDeleted": deleted})
    else:
        print(f"Task hub '{target.name}' successfully deleted.")


def _in_steps(target: Target, operation: PurgeInstances | DeleteTaskHub, total: int) -> int:
    deleted, continuation = 0, None
    with Progress("Deleting", total) as progress:
        while True:
            answer = target.expect(msgspec.structs.replace(operation, continuation=continuation), Purged)
            deleted, continuation = deleted + answer.instances, answer.continuation
            progress.advance(answer.instances)
            if continuation is None:
                return deleted


def _confirm(yes: bool, question: str) -> None:
    """Ask, unless that is not wanted. Raises `CommandFailed` when the answer is no."""
    if yes:
        return
    print(f"{question} [y/N] ", end="", flush=True, file=sys.stderr)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandFailed("Nothing was deleted. Answer y, or give --yes.")


def _report(target: Target, count: int, sentence: str | None, label: str = "Instances deleted") -> None:
    if target.json:
        print_json({"InstancesDeleted": count})
        return
    if sentence is not None:
        print(sentence)
    print(f"{label}: {count}")


def _number(count: int) -> str:
    return "1 instance" if count == 1 else f"{count} instances"


def _limit(time: int | None, missing: str) -> str:
    return missing if time is None else full_time(time)
