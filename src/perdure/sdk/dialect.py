"""The differences between the answers of SDK 1.x and 2.0, as one table: read by the SDK and by the documentation."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace


class Dialect(Struct, frozen=True):
    """One column of the table. Orchestrators with one argument get their app's, those with two always `NATIVE`."""

    number: int
    schedules_at_call: bool
    all_fails_fast: bool
    empty_compound_completes: bool
    result_raises: bool
    cancelled_completes: bool
    decodes_client_events: bool
    waits_last_first: bool
    failure_has_task_number: bool
    has_histories: bool
    keeps_falsy_status: bool
    unset_version: str | None
    clock_has_zone: bool
    converts_to_annotations: bool


V1 = Dialect(
    number=1,
    schedules_at_call=False,
    all_fails_fast=True,
    empty_compound_completes=True,
    result_raises=False,
    cancelled_completes=False,
    decodes_client_events=False,
    waits_last_first=True,
    failure_has_task_number=False,
    has_histories=True,
    keeps_falsy_status=False,
    unset_version="",
    clock_has_zone=True,
    converts_to_annotations=False,
)

V2 = Dialect(
    number=2,
    schedules_at_call=True,
    all_fails_fast=False,
    empty_compound_completes=False,
    result_raises=True,
    cancelled_completes=True,
    decodes_client_events=True,
    waits_last_first=False,
    failure_has_task_number=True,
    has_histories=False,
    keeps_falsy_status=True,
    unset_version=None,
    clock_has_zone=True,
    converts_to_annotations=True,
)

#: what two-argument orchestrators get in any app
NATIVE = replace(V2, clock_has_zone=False)


def dialect_of(number: int) -> Dialect:
    """The column for one-argument functions of an app whose `dialect` is `number` (1 or 2)."""
    return V2 if number == 2 else V1
