"""The contract of a store, executable: subclass `ProviderContract` and give it a `site` fixture.

Every rule of `storage/provider.py` and `model/commit_plan.py` that a store must keep is a test here, and each test
says one rule. A store of a third party can be tested in the same way.
"""

from __future__ import annotations

from perdure.testing.contract.claims import ClaimContract, TimerContract
from perdure.testing.contract.hosts import CommitContract, HostContract
from perdure.testing.contract.messages import ActivityContract, MessageContract
from perdure.testing.contract.queries import PurgeContract, QueryContract
from perdure.testing.contract.records import AuditContract, BacklogContract
from perdure.testing.contract.turns import CreationContract, TurnContract


class ProviderContract(
    HostContract,
    CommitContract,
    TurnContract,
    CreationContract,
    MessageContract,
    ActivityContract,
    ClaimContract,
    TimerContract,
    PurgeContract,
    QueryContract,
    BacklogContract,
    AuditContract,
):
    """All of it."""
