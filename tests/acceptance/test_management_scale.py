"""Listing 200,000 instances while new ones arrive: complete, without duplicates, page by page."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable

import httpx

from tests.acceptance.host import APPS, WEBHOOK, Host

STORED = 200_000
#: what copies of an instance have of their own, from `numbers.i`
OWN = {
    "n": "(99 * 4294967296) + numbers.i",
    "created": "created + numbers.i / 3",
    "status": "CASE WHEN numbers.i % 1000 = 0 THEN 3 ELSE status END",
}


def copies(columns: list[str], numbers: str, instance_id: str) -> str:
    """The statement that copies the one instance there."""
    values = ", ".join({**OWN, "id": instance_id}.get(column, f'"{column}"') for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    return f"INSERT INTO instance ({names}) SELECT {values} FROM {numbers}, instance WHERE id = 'seed'"


def fill(store: str) -> None:
    """Copies of the one instance there, with ids and times of their own."""
    if store.startswith("sqlite"):
        with sqlite3.connect(store.removeprefix("sqlite:///")) as connection:
            columns = [row[1] for row in connection.execute("PRAGMA table_info(instance)")]
            connection.execute(
                f"WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {STORED}) "
                + copies(columns, "numbers", "printf('stored-%06d', numbers.i)")
            )
        return

    async def run() -> None:
        import asyncpg

        connection = await asyncpg.connect(store)
        await connection.execute("SET search_path = perdure")
        columns = await connection.fetch(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_schema = 'perdure' AND table_name = 'instance' ORDER BY ordinal_position"
        )
        await connection.execute(
            copies(
                [column for (column,) in columns],
                f"generate_series(1, {STORED}) AS numbers (i)",
                "'stored-' || lpad(numbers.i::text, 6, '0')",
            )
        )
        await connection.close()

    asyncio.run(run())


def test_a_long_listing_while_others_arrive(new_host: Callable[..., Host], store: str) -> None:
    host = new_host(APPS / "managed", settings={"PERDURE_STORE": store}).start()
    host.begin_webhook("echo", {"x": 1}, "seed")
    host.finished("seed")
    host.stop()
    fill(store)
    host.start()
    listed = threading.Event()
    started = 0

    def arrive() -> None:
        nonlocal started
        with httpx.Client(timeout=30) as http:
            while not listed.is_set():
                assert http.post(f"{host.url}{WEBHOOK}/orchestrators/echo/new-{started}").status_code == 202
                started += 1
                listed.wait(0.02)

    arriving = threading.Thread(target=arrive)
    arriving.start()
    try:
        seen: list[str] = []
        token = ""
        while True:
            answer = host.get(
                f"{WEBHOOK}/instances?top=1000&showInput=false", headers={"x-ms-continuation-token": token}
            )
            seen += [item["instanceId"] for item in answer.json()]
            token = answer.headers["x-ms-continuation-token"]
            if not token:
                break
    finally:
        listed.set()
        arriving.join()
    assert len(seen) == len(set(seen))
    assert sum(identifier.startswith("stored-") for identifier in seen) == STORED
    assert started > 10
    pages = []
    for _ in range(9):
        begun = time.perf_counter()
        failed = host.get(f"{WEBHOOK}/instances?runtimeStatus=Failed&top=100").json()
        pages.append(time.perf_counter() - begun)
        assert len(failed) == 100
    assert sorted(pages)[4] < 0.1, pages
    counts = host.get(f"{WEBHOOK}/counts?createdTimeTo=2100-01-01&namePrefix=ec").json()
    assert counts["byStatus"]["Failed"] == STORED // 1000
    assert counts["byName"]["echo"] == counts["byStatus"]
