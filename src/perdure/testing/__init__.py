"""Tools for tests: virtual time, an in-memory hub, the deterministic simulation, the contract suite of stores."""

from __future__ import annotations

from typing import Any

from perdure import azure_names
from perdure.sdk.names import MODULES


def __getattr__(name: str) -> Any:
    """The names of `azure.durable_functions.testing`, so that `import perdure as df` has them under `df.testing`."""
    if name in MODULES["testing"]:
        return azure_names.resolve(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
