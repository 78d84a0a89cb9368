"""What a hub keeps of one timer trigger, and the texts made of it: stored JSON, payload, times.

One record per function lies in the hub's settings (kind `timer`). Hosts change it by compare-and-set only, which is
what makes one firing of one occurrence out of however many hosts.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone, tzinfo

from msgspec import Struct

#: `last` and `updated` before the first run; shown as the minimum date
UNSET = 0
#: `next` of a schedule that has no occurrence any more
NEVER = 253_402_300_799_999_999

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_UNSET_TEXT = "0001-01-01T00:00:00"
_NEVER_TEXT = "9999-12-31T23:59:59.9999999"


class TimerRecord(Struct, frozen=True):
    """Status of a timer. Times are instants in microseconds; tokens are those of hosts, 0 is none.

    `next` is the occurrence that fires next; `listener` the host that fires by preference (the one that started the
    timer or ran it last), `running` the one that runs the function now, since `started`.
    """

    next: int
    schedule: str
    last: int = UNSET
    updated: int = UNSET
    listener: int = 0
    running: int = 0
    started: int = UNSET


def iso(instant: int, zone: tzinfo) -> str:
    """An instant on the clock of `zone`, as ISO 8601 with its offset."""
    if instant == UNSET:
        return _UNSET_TEXT
    if instant >= NEVER:
        return _NEVER_TEXT
    return (_EPOCH + timedelta(microseconds=instant)).astimezone(zone).isoformat()


def round_trip(instant: int, zone: tzinfo) -> str:
    """An instant in the round-trip format: always seven digits behind the second."""
    moment = (_EPOCH + timedelta(microseconds=instant)).astimezone(zone)
    head, offset = moment.isoformat(timespec="microseconds")[:26], moment.isoformat()[19:]
    sign = max(offset.rfind("+"), offset.rfind("-"))
    return f"{head}0{offset[sign:]}"


def encode_record(record: TimerRecord, zone: tzinfo) -> str:
    """The stored text: times readable, in the zone of the schedule."""
    return json.dumps(
        {
            "Last": iso(record.last, zone),
            "Next": iso(record.next, zone),
            "LastUpdated": iso(record.updated, zone),
            "Schedule": record.schedule,
            "Listener": record.listener,
            "Running": record.running,
            "Started": iso(record.started, zone),
        }
    )


def decode_record(text: str | None) -> TimerRecord | None:
    """The record of a stored text; None for no text or one that is no record (it is then written anew)."""
    if text is None:
        return None
    try:
        value = json.loads(text)
        return TimerRecord(
            next=_instant(value["Next"]),
            schedule=str(value["Schedule"]),
            last=_instant(value["Last"]),
            updated=_instant(value["LastUpdated"]),
            listener=int(value["Listener"]),
            running=int(value["Running"]),
            started=_instant(value["Started"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def payload(record: TimerRecord | None, zone: tzinfo, *, adjusts_for_dst: bool, past_due: bool) -> str:
    """The trigger's JSON for the worker. `record` is the status before the run, None for an unmonitored timer."""
    status = record and {
        "Last": iso(record.last, zone),
        "Next": iso(record.next, zone),
        "LastUpdated": iso(record.updated, zone),
    }
    return json.dumps({"Schedule": {"AdjustForDST": adjusts_for_dst}, "ScheduleStatus": status, "IsPastDue": past_due})


def _instant(text: str) -> int:
    if text == _UNSET_TEXT:
        return UNSET
    if text == _NEVER_TEXT:
        return NEVER
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)
