"""Which worker process runs what, and how many activities the workers say they can run now."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from perdure.host.protocol.messages import HttpAnswer
from perdure.model.execution import ActivityCompleted, ActivityLost, EntityRequest
from perdure.model.history import EntityOperationRequested
from tests.unit.host.worker_world import world

APP = """
@app.activity_trigger(input_name="x")
def sleep(x):
    time.sleep(x)
    return os.getpid()
@app.activity_trigger(input_name="x")
async def nap(x):
    await asyncio.sleep(x)
    return os.getpid()
@app.route(route="where")
def where(req): return str(os.getpid())
@app.entity_trigger(context_name="context")
def counter(context): time.sleep(context.get_input())
"""


def run(scenario, root: Path, **options) -> None:
    async def within() -> None:
        async with world(root, APP, **options) as made:
            await made.until(lambda: len(made.supervisor.processes) == options.get("processes", 1))
            await asyncio.wait_for(scenario(made), 50)

    asyncio.run(within())


def test_all_processes_start_at_once_and_share_the_activities(tmp_path: Path) -> None:
    async def scenario(w) -> None:
        links = w.supervisor._workers.ready
        assert max(link.started for link in links) - min(link.started for link in links) < 1.0
        assert w.supervisor.activity_room() == (20, 4)
        sleeping = [w.activity("sleep", "0.5", task=task) for task in range(4)]
        assert w.supervisor.activity_room() == (16, 0)
        done = await asyncio.gather(*sleeping)
        assert len({outcome.result for outcome in done}) == 4
        assert w.supervisor.activity_room() == (20, 4)

    run(scenario, tmp_path, processes=4, threads=1, max_activities=20)


def test_a_coroutine_needs_no_thread(tmp_path: Path) -> None:
    async def scenario(w) -> None:
        sleeping = w.activity("sleep", "1", task=0)
        assert w.supervisor.activity_room() == (4, 0)
        naps = [w.activity("nap", "0.01", task=task) for task in range(1, 5)]
        assert w.supervisor.activity_room() == (0, 0)
        assert all(isinstance(outcome, ActivityCompleted) for outcome in await asyncio.gather(*naps))
        assert not sleeping.done()
        await sleeping

    run(scenario, tmp_path, threads=1, max_activities=5)


def test_an_activity_goes_where_a_thread_is_free(tmp_path: Path) -> None:
    async def scenario(w) -> None:
        sleeping = w.activity("sleep", "2", task=0)
        # coroutines load the other process more and more, and take none of its threads
        naps = [w.activity("nap", "1", task=task) for task in range(1, 9)]
        before = time.monotonic()
        pids = {(await w.activity("sleep", "0", task=task)).result for task in range(9, 13)}
        assert time.monotonic() - before < 0.9 and len(pids) == 1
        assert {outcome.result for outcome in await asyncio.gather(*naps)} > pids
        assert (await sleeping).result not in pids

    run(scenario, tmp_path, processes=2, threads=1)


def test_http_functions_take_turns_among_the_free_processes(tmp_path: Path) -> None:
    async def scenario(w) -> None:
        assert len({(await w.http("where")).body for _ in range(4)}) == 2
        sleeping = w.activity("sleep", "2", task=0)
        before = time.monotonic()
        answers = [await w.http("where") for _ in range(4)]
        assert all(isinstance(answer, HttpAnswer) for answer in answers) and time.monotonic() - before < 1.5
        assert len({answer.body for answer in answers}) == 1
        await sleeping

    run(scenario, tmp_path, processes=2, threads=1)


def test_what_found_no_thread_comes_back(tmp_path: Path) -> None:
    """Short activities are handed over ahead; should the next be a long one, those behind it are not kept waiting."""

    async def scenario(w) -> None:
        assert w.supervisor.activity_room() == (20, 1)
        for task in range(150):
            await w.activity("sleep", "0", task=task)
        assert w.supervisor.activity_room()[1] > 1
        long = w.activity("sleep", "4", task=200)
        behind = [w.activity("sleep", "0", task=task) for task in range(201, 204)]
        before = time.monotonic()
        for outcome in await asyncio.gather(*behind):
            assert isinstance(outcome, ActivityLost) and not outcome.began and not outcome.alone
        assert time.monotonic() - before < 3 and not long.done()
        assert w.supervisor.activity_room() == (19, 0)
        # nothing is left of them in the worker: they may come again
        assert isinstance(await long, ActivityCompleted)
        again = await asyncio.gather(*(w.activity("sleep", "0", task=task) for task in range(201, 204)))
        assert all(isinstance(outcome, ActivityCompleted) for outcome in again)
        assert not [line for line in w.lines if "given back" in line]

    run(scenario, tmp_path, threads=1, max_activities=20)


def test_room_that_other_functions_leave_is_told(tmp_path: Path) -> None:
    async def scenario(w) -> None:
        told: list[tuple[int, int]] = []
        w.supervisor.on_room = lambda: told.append(w.supervisor.activity_room())
        operation = EntityOperationRequested("x", "0.3", caller=1)
        batch = w.entity(EntityRequest(9, 0, "@counter@k", "counter", 1, None, [operation]))
        assert w.supervisor.activity_room() == (20, 0)
        await batch
        assert told == [(20, 1)]
        # with room to spare nobody needs to be told
        await w.http("where")
        assert told == [(20, 1)]

    run(scenario, tmp_path, threads=1, max_activities=20)
