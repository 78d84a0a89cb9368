"""What one activity step costs in a worker: one turn and one no-op activity, all threads counted.

    python bench/worker_step.py [instances] [steps]

A bare host drives a real worker over its channel: `instances` chains at once, each step one turn and one activity.
The budget is 80 µs of worker CPU for a step; the host's side of the channel is printed beside it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from perdure.host.supervision.supervisor import Supervisor
from perdure.host.supervision.worker_link import SupervisorOptions
from perdure.model.execution import ActivityRequest, TurnDecided, TurnRequest
from perdure.model.history import ExecutionStarted, TaskCompleted

APP = """
import azure.durable_functions as df
app = df.DFApp()
@app.orchestration_trigger(context_name="context")
def chain(context):
    steps = context.get_input()
    for _ in range(steps):
        yield context.call_activity("say", "Tokyo")
    return steps
@app.activity_trigger(input_name="city")
def say(city): return f"Hello {city}!"
"""


def cpu(pid: int) -> float:
    """CPU seconds of a process so far, in ticks of the system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def main(instances: int, steps: int) -> None:
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory() as root:
        Path(root, "function_app.py").write_text(APP)
        supervisor = Supervisor(
            SupervisorOptions(root, max_activities=100_000), on_log=print, on_client_call=lambda *_: None
        )
        begun = time.perf_counter()
        app = await supervisor.start()
        print(f"worker ready in {(time.perf_counter() - begun) * 1000:.0f} ms")
        ready = cpu(app.pid)
        finished = loop.create_future()
        left = instances

        def turn(n: int, base: int, events: list, history: list | None = None) -> None:
            request = TurnRequest(n, 0, base, f"instance{n}", "chain", 1_700_000_000_000_000, events, history)
            supervisor.run_turn(request, lambda outcome: decided(n, base, outcome))

        def decided(n: int, base: int, outcome: object) -> None:
            nonlocal left
            assert isinstance(outcome, TurnDecided), outcome
            for action in outcome.actions:
                if hasattr(action, "name"):
                    request = ActivityRequest(n, 0, action.id, f"instance{n}", action.name, action.input)
                    supervisor.run_activity(
                        request,
                        lambda done, task=action.id: turn(n, base + 1, [TaskCompleted(task, done.result)]),
                    )
                else:
                    left -= 1
                    if left == 0:
                        finished.set_result(None)

        own, begun = time.process_time(), time.perf_counter()
        for n in range(1, instances + 1):
            turn(n, 0, [ExecutionStarted("chain", str(steps))], [])
        await finished
        took, own = time.perf_counter() - begun, time.process_time() - own
        worker, total = cpu(app.pid) - ready, instances * (steps + 1)
        print(
            f"{instances} chains of {steps}: {total / took:,.0f} steps/s; CPU of a step: "
            f"worker {worker / total * 1e6:.1f} µs, this side {own / total * 1e6:.1f} µs"
        )
        await supervisor.stop(0.1)


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:]]
    chosen = (numbers + [1000, 10][len(numbers) :])[:2]
    try:
        import uvloop

        uvloop.install()
    except ImportError:
        pass
    asyncio.run(main(*chosen))
