"""How a task hub behaves: limits and policies, all with the documented defaults."""

from __future__ import annotations

from msgspec import Struct

from perdure.engine.catalog import BUILT_IN_HTTP
from perdure.engine.versions import VersionRule
from perdure.model.operations import ExistingPolicy
from perdure.model.trace_context import Sampling


class HubOptions(Struct, frozen=True):
    """Times in seconds unless named otherwise."""

    hub_name: str = "TestHubName"
    address: str = ""
    host_instance: str = ""
    names: dict[str, tuple[str, ...]] = {}
    fingerprint: str = ""
    #: whose answers the app's orchestrators get: SDK 1 or 2 (0: the executor knows, and it is not recorded)
    dialect: int = 0
    default_version: str = ""
    versions: VersionRule = VersionRule()
    max_turns: int = 20
    max_actions: int = 100_000
    keep_generations: int = 0
    max_activities: int = 20
    #: activities that need no thread of a worker, in lower case
    coroutines: frozenset[str] = frozenset()
    #: entity batches under way; None: they count as turns
    max_entity_batches: int | None = None
    #: operations in one batch
    max_entity_batch: int = 5000
    max_warm: int = 10000
    warm_idle: float = 300.0
    host_ttl: float = 9.0
    max_worker_deaths: int = 3
    existing_policy: ExistingPolicy = ExistingPolicy.FAIL_IF_RUNNING
    fail_on_mismatch: bool = False
    cancel_activities_on_terminate: bool = True
    #: which work is traced; None: none
    sampling: Sampling | None = None
    #: messages that one turn takes
    turn_messages: int = 1000
    #: items and payload characters of one commit
    commit_items: int = 2000
    commit_chars: int = 8_000_000
    #: a result that waits behind a turn is written after this time
    hold_results: float = 0.02
    scan_interval: float = 1.0

    @property
    def threadless(self) -> frozenset[str]:
        """All activities that need no thread of a worker's pool, in lower case."""
        return self.coroutines | {BUILT_IN_HTTP.lower()}
