"""Where in the app's code an instance waits."""

from __future__ import annotations

import os

from perdure.engine.waiting import Place
from perdure.host.settings.config import HostConfig
from perdure.model.instance import InstanceKind
from perdure.model.operations import Inspected


def place_of(config: HostConfig | None, found: Inspected) -> Place | None:
    """Where the code of an instance stands; None where that cannot be known, as without the app at hand."""
    record = found.record
    if config is None or record.kind is not InstanceKind.ORCHESTRATION or record.status.is_terminal:
        return None
    if not record.first_turn:
        return None
    from perdure.host.whereabouts import find_standing

    standing = find_standing(config, record, found.history)
    if standing is None or standing.mismatch:
        return None
    location = standing.location.removeprefix(os.path.join(config.script_root, ""))
    return Place(location, standing.waits_for, standing.events, standing.unclaimed, standing.since, standing.attempts)
