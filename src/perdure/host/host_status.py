"""What `/admin/host/status` tells of a running host beyond its state: token, limits in use, workers."""

from __future__ import annotations

from typing import Any

import msgspec

from perdure.host.supervision.supervisor import Supervisor
from perdure.host.telemetry.host_monitor import HostMonitor
from perdure.taskhub.core import TaskHub

#: the lanes of turns as the status names them
_LANES = {"turns": "orchestrators", "entity batches": "entities"}


def working(hub: TaskHub, supervisor: Supervisor, monitor: HostMonitor) -> dict[str, Any]:
    """Members of the status. Loads are per cent of all processors, latencies milliseconds."""
    activities = {
        "active": hub.activities.running,
        "maximum": hub.options.max_activities,
        "threads": supervisor.threads,
    }
    lanes = {_LANES[lane.name]: {"active": lane.running, "maximum": lane.limit} for lane in hub.shift.lanes.all}
    return {
        "hostLock": {"held": bool(hub.token), "token": hub.token},
        "workItems": {"activities": activities, **lanes},
        "hostMonitor": msgspec.to_builtins(monitor.figures()),
    }
