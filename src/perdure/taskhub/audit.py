"""What is recorded of a management operation."""

from __future__ import annotations

from perdure.model.commit_plan import Audit
from perdure.model.history_view import full_time
from perdure.model.instance import InstanceFilter, RuntimeStatus

#: characters of a name, and of a reason, that are kept
_LONGEST_NAME, _LONGEST_REASON = 200, 1000


def audit(operation: str, target: str, by: str, time: int, reason: str | None = None) -> Audit | None:
    """The record of an operation; None where nobody is known to have asked for it."""
    if not by:
        return None
    return Audit(operation, target, by[:_LONGEST_NAME], time, None if reason is None else reason[:_LONGEST_REASON])


def described(filter: InstanceFilter) -> str:
    """A filter in words."""
    parts = [RuntimeStatus(status).label for status in filter.statuses]
    times = [("created from", filter.created_from), ("created to", filter.created_to)]
    texts = [("id prefix", filter.id_prefix), ("name prefix", filter.name_prefix), ("parent", filter.parent_id)]
    parts += [f"{name} {full_time(time)}" for name, time in times if time is not None]
    parts += [f"{name} {text}" for name, text in texts if text is not None]
    parts += [f"tag {key}={value}" for key, value in (filter.tags or {}).items()]
    return ", ".join(parts) or "everything"
