"""`perdure durable why` beside running hosts: word by word what it says of instances that stand still."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.host import APPS, Host, eventually

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \((?:in )?[\d.]+ (?:s|min|h)(?: ago)?\)"


class Stuck:
    """Hosts of the app `stuck` on one store."""

    def __init__(self, new_host: Callable[..., Host], store: str, folder: Path) -> None:
        self._new_host, self.store, self.go = new_host, store, folder / "go"

    def host(self) -> Host:
        settings = {"PERDURE_STORE": self.store, "GO_FILE": str(self.go), "FUNCTIONS_WORKER_PROCESS_COUNT": "1"}
        return self._new_host(APPS / "stuck", settings=settings).start()

    def why(self, instance_id: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-m", "perdure", "durable", "why", instance_id, "--store", self.store],
            cwd=APPS / "stuck",
            env=dict(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    def says(self, instance_id: str, *sentences: str) -> None:
        """What it says, in the end: in these sentences `TIME` stands for a time, `HOST` for a host with its address."""
        words = {"TIME": TIME, "HOST": r"host \d+ at [\w.:]+", "Host_": r"Host \d+ at [\w.:]+", "PID": r"\d+"}
        pattern = " ".join(re.escape(sentence) for sentence in sentences)
        for word, meaning in {**words, "SPAN": r"[\d.]+ s"}.items():
            pattern = pattern.replace(word, meaning)
        last = ""

        def look() -> bool:
            nonlocal last
            last = self.why(instance_id)
            return re.fullmatch(pattern, last) is not None

        try:
            eventually(look, 20, "the answer")
        except AssertionError:
            raise AssertionError(f"expected {pattern}\nreceived {last}") from None


def test_each_way_to_stand_still(new_host: Callable[..., Host], store: str, tmp_path: Path) -> None:
    stuck = Stuck(new_host, store, tmp_path)
    host = stuck.host()

    host.begin_webhook("pays", "x", "p1")
    stuck.says(
        "p1",
        "'p1' (pays) has been waiting since TIME.",
        "Its code stands at function_app.py:15 in pays, for context.call_activity_with_retry('pay').",
        "Activity 'pay' (attempt 1 of 3) was scheduled TIME and runs since TIME on HOST, worker-1 (process PID).",
        "Host_ owns it.",
    )
    host.begin_webhook("pays", "x", "p2")
    stuck.says(
        "p2",
        "'p2' (pays) has been waiting since TIME.",
        "Its code stands at function_app.py:15 in pays, for context.call_activity_with_retry('pay').",
        "Activity 'pay' (attempt 1 of 3) was scheduled TIME and nobody has taken it: it waits for a host with a free "
        "slot.",
        "Host_ owns it.",
    )
    host.begin_webhook("delegates", None, "d1")
    stuck.says(
        "d1",
        "'d1' (delegates) has been waiting since TIME.",
        "Its code stands at function_app.py:25 in delegates, for context.call_sub_orchestrator('sleeps').",
        "It waits for its child 'd1-child' (sleeps), which was started TIME: it waits for a timer that fires in 3 h.",
        "Host_ owns it.",
    )
    host.begin_webhook("locks", None, "l1")
    eventually(lambda: "the event 'go'" in stuck.why("l1"))
    host.begin_webhook("locks", None, "l2")
    stuck.says(
        "l2",
        "'l2' (locks) has been waiting since TIME.",
        "Its code stands at function_app.py:35 in locks, for ctx.lock_entities(['@account@a']).",
        "It waits for the locks of '@account@a', asked for TIME.",
        "The lock of '@account@a' is held by 'l1' (it waits for an external event).",
        "Host_ owns it.",
    )
    stuck.says(
        "@account@a",
        "Entity '@account@a' is locked by 'l1' (it waits for an external event): operations of others wait for it.",
        "Host_ owns it.",
    )
    host.begin_webhook("computes", None, "c1")
    host.post("/runtime/webhooks/durabletask/instances/c1/raiseEvent/go", json=1)
    stuck.says(
        "c1",
        "'c1' (computes) has been waiting since TIME.",
        "Its code stands at function_app.py:41 in computes, for context.wait_for_external_event('go').",
        "It waits for the event 'go' since TIME.",
        "Events that no turn has taken yet: 'go'.",
        "Host_ owns it.",
        "A turn is under way there, or about to begin.",
    )
    stuck.go.touch()
    for instance_id in ("p1", "p2", "c1"):
        host.finished(instance_id)

    host.begin_webhook("fails", None, "f1")
    stuck.says(
        "f1",
        "'f1' (fails) has been waiting since TIME.",
        "Its code stands at function_app.py:20 in fails, for context.call_activity_with_retry('refuse').",
        "Activity 'refuse' failed on attempt 1; attempt 2 of 5 comes TIME.",
        "Host_ owns it.",
    )


def test_a_host_that_was_killed(new_host: Callable[..., Host], store: str, tmp_path: Path) -> None:
    stuck = Stuck(new_host, store, tmp_path)
    host = stuck.host()
    host.begin_webhook("pays", "x", "p1")
    eventually(lambda: "runs since" in stuck.why("p1"))
    host.kill()
    scheduled = (
        "'p1' (pays) has been waiting since TIME.",
        "Its code stands at function_app.py:15 in pays, for context.call_activity_with_retry('pay').",
    )
    if store.startswith("sqlite"):
        # the kernel has told of its end
        stuck.says(
            "p1",
            *scheduled,
            "Activity 'pay' (attempt 1 of 3) was scheduled TIME and nobody has taken it: it waits for a host.",
            "No host of this task hub is up: it goes on when one starts.",
        )
    else:
        silent = "last heard of SPAN ago (it has been killed or hangs: the next host that is up declares it dead)"
        stuck.says(
            "p1",
            *scheduled,
            f"Activity 'pay' (attempt 1 of 3) was scheduled TIME and runs since TIME on HOST, "
            f"worker-1 (process PID), {silent}.",
            "No host of this task hub is up (HOST was last heard of SPAN ago): it goes on when one starts.",
        )
    stuck.host()
    stuck.says(
        "p1",
        *scheduled,
        "Activity 'pay' (attempt 1 of 3) was scheduled TIME and runs since TIME on HOST, worker-1 (process PID).",
        "Its owner (host PID) is gone: another host takes it over when something comes for it.",
    )
    stuck.go.touch()
