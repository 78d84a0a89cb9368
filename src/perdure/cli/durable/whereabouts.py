"""Where in the app's code an instance waits."""

from __future__ import annotations

from perdure.engine.waiting import Place
from perdure.host.config import HostConfig
from perdure.model.operations import Inspected


def place_of(config: HostConfig | None, found: Inspected) -> Place | None:
    """Where the code of an instance stands, None where that cannot be known."""
    return None
