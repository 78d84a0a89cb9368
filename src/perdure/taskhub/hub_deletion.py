"""The whole hub goes: what it holds, and then the hub itself."""

from __future__ import annotations

from perdure.model.commit_plan import Purge, Verdict
from perdure.model.instance import InstanceFilter, Page
from perdure.model.operations import DeleteTaskHub, Purged, RefusalCode, Refused
from perdure.storage.provider import HostRow, StoreError
from perdure.taskhub.hub import Answer, Hub
from perdure.taskhub.purging import PAGE
from perdure.taskhub.refusals import unavailable

#: seconds between two looks at the beat of a host, and how many times its TTL one is waited for
_LOOK, _TTLS = 0.3, 1.1


class HubDeletion:
    """`DeleteTaskHub`. A host that is listed may be dead: if its beat stands still for its TTL, it is declared dead."""

    def __init__(self, hub: Hub, operation: DeleteTaskHub, done: Answer) -> None:
        self._hub, self._operation, self._done = hub, operation, done
        self._before = int(operation.continuation or 0)
        self._total = 0
        self._beats: dict[int, int] = {}
        self._since = 0.0

    def begin(self) -> None:
        """See that no host is up, then delete."""
        self._since = self._hub.clock.monotonic()
        self._look()

    def _look(self) -> None:
        def listed(answer: list[HostRow] | StoreError) -> None:
            if isinstance(answer, StoreError):
                self._done(unavailable(answer))
                return
            hosts = [host for host in answer if any(host.names.values())]
            alive = [host for host in hosts if self._beats.setdefault(host.token, host.beat) != host.beat]
            if alive:
                self._refuse(alive[0])
            elif not hosts:
                self._page()
            elif self._hub.clock.monotonic() - self._since < self._hub.options.host_ttl * _TTLS:
                self._hub.clock.later(_LOOK, self._look)
            else:
                self._bury(hosts[0])

        self._hub.store.hosts(listed)

    def _refuse(self, host: HostRow) -> None:
        text = (
            f"Task hub '{self._hub.options.hub_name}' is in use: host {host.token} at {host.address} is up. "
            "Stop it, and all other hosts of the hub, then delete the hub."
        )
        self._done(Refused(RefusalCode.WRONG_STATE, text))

    def _bury(self, host: HostRow) -> None:
        def dead(answer: bool | StoreError) -> None:
            if isinstance(answer, StoreError):
                self._done(unavailable(answer))
            else:
                self._look()

        self._hub.store.declare_dead(host.token, self._beats[host.token], dead)

    def _page(self) -> None:
        """Nobody has to be told anything: all of it goes."""

        def listed(page: Page | StoreError) -> None:
            if isinstance(page, StoreError):
                self._done(unavailable(page))
            elif page.items:
                self._purge([record.n for record in page.items])
            else:
                self._forget()

        self._hub.store.query(InstanceFilter(), PAGE, None, listed, payloads=False)

    def _purge(self, numbers: list[int]) -> None:
        left = len(numbers)
        failed: StoreError | None = None

        def purged(verdict: Verdict | StoreError) -> None:
            nonlocal left, failed
            left -= 1
            self._total += verdict is Verdict.APPLIED
            failed = verdict if isinstance(verdict, StoreError) else failed
            if left:
                return
            if failed is not None:
                self._done(unavailable(failed))
            elif 0 < self._operation.limit <= self._total:
                self._done(Purged(self._total, str(self._before + self._total)))
            else:
                self._page()

        for n in numbers:
            self._hub.committer.purge(Purge(n), purged)

    def _forget(self) -> None:
        def forgotten(answer: bool | StoreError) -> None:
            if isinstance(answer, StoreError):
                self._done(unavailable(answer))
            elif answer:
                self._done(Purged(self._total))
            else:
                # a host or an instance has come meanwhile
                self.begin()

        result = f"{self._before + self._total} instances deleted"
        self._hub.store.delete_hub(self._operation.by, result, forgotten)
