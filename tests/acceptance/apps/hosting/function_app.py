"""What user code may do to a host: block, run loops of its own, keep sessions between calls, print anything."""

import asyncio
import logging
import sys
import time

import aiohttp
import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
kept: dict[str, aiohttp.ClientSession] = {}


@app.route(route="ping")
def ping(req: func.HttpRequest) -> str:
    return "pong"


@app.route(route="async-ping")
async def async_ping(req: func.HttpRequest) -> str:
    return "pong"


@app.orchestration_trigger(context_name="context")
def blocking(context):
    time.sleep(context.get_input())
    return "slept"
    yield


@app.orchestration_trigger(context_name="context")
def async_steps(context):
    times = []
    for _ in range(context.get_input()):
        times.append((yield context.call_activity("tick", None)))
    return times


@app.activity_trigger(input_name="nothing")
async def tick(nothing) -> float:
    return time.time()


@app.route(route="ticks/{count}", methods=["POST"])
async def ticks(req: func.HttpRequest) -> str:
    before = time.monotonic()
    for _ in range(int(req.route_params["count"])):
        await tick_now()
    return str(time.monotonic() - before)


async def tick_now() -> None:
    await asyncio.sleep(0)


@app.orchestration_trigger(context_name="context")
def own_loops(context):
    mine = asyncio.run(_answer(1))
    theirs = yield context.call_activity("own_loop", 2)
    return [mine, theirs]


async def _answer(value: int) -> int:
    await asyncio.sleep(0)
    return value


@app.activity_trigger(input_name="value")
def own_loop(value: int) -> int:
    return asyncio.run(_answer(value))


@app.orchestration_trigger(context_name="context")
def fetch_often(context):
    return [
        (yield context.call_activity("fetch", context.get_input())),
        (yield context.call_activity("fetch", context.get_input())),
    ]


@app.activity_trigger(input_name="url")
async def fetch(url: str) -> str:
    if "session" not in kept:
        kept["session"] = aiohttp.ClientSession()
    async with kept["session"].get(url) as answer:
        return await answer.text()


@app.orchestration_trigger(context_name="context")
def talkative(context):
    print("printed before")
    logging.warning("logged before")
    heard = yield context.call_activity("talk", None)
    print("printed after")
    return heard


@app.activity_trigger(input_name="nothing")
def talk(nothing) -> str:
    print("grüße, 世界")
    sys.stdout.buffer.write(b"bytes \xff\xfe that are no text\n")
    sys.stdout.flush()
    logging.error("an error line")
    return "talked"


@app.orchestration_trigger(context_name="context")
async def awaiting(context):
    doubled = await context.task_all([context.call_activity(own_loop, value) for value in context.get_input()])
    winner = await context.task_any([context.wait_for_external_event("go"), context.wait_for_external_event("stop")])
    return [doubled, winner.result]
