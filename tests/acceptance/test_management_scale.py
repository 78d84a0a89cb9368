"""Listing 200,000 instances while new ones arrive: complete, without duplicates, page by page."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable

import httpx

from tests.acceptance.host import APPS, WEBHOOK, Host

STORED = 200_000


def copied(path: str) -> None:
    """Copies of the one instance there, with ids and times of their own."""
    with sqlite3.connect(path) as connection:
        connection.create_function("durable_key", 1, str.lower, deterministic=True)
        names = [row[1] for row in connection.execute("PRAGMA table_info(instance)")]
        own = {
            "n": "(99 << 32) + numbers.i",
            "id": "printf('stored-%06d', numbers.i)",
            "created": "created + numbers.i / 3",
            "status": "CASE WHEN numbers.i % 1000 = 0 THEN 3 ELSE status END",
        }
        values = ", ".join(own.get(name, name) for name in names)
        connection.execute(
            f"WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {STORED}) "
            f"INSERT INTO instance ({', '.join(names)}) SELECT {values} FROM numbers, instance WHERE id = 'seed'"
        )


def test_a_long_listing_while_others_arrive(new_host: Callable[..., Host]) -> None:
    host = new_host(APPS / "managed").start()
    host.begin_webhook("echo", {"x": 1}, "seed")
    host.finished("seed")
    host.stop()
    copied(f"{host.app}/.perdure/TestHubName.db")
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
