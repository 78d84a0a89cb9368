"""Plain HTTP functions beside durable ones."""

from __future__ import annotations

from tests.acceptance.conftest import NewHost


def test_sync_and_async_functions_with_routes(new_host: NewHost) -> None:
    host = new_host("http_beside_durable").start()
    greeted = host.get("/api/greet/Ada/2?loud=yes")
    assert (greeted.status_code, greeted.json()) == (200, {"said": ["Hello Ada", "Hello Ada"], "loud": True})
    assert greeted.headers["content-type"].startswith("application/json")
    assert host.get("/api/greet/Ada").json() == {"said": ["Hello Ada"], "loud": False}
    assert host.get("/api/greet/4711").status_code == 404, "the constraint of the route says letters"
    assert host.post("/api/greet/Ada").status_code == 404, "a method that the function does not take"

    echoed = host.post("/api/echo", content="grüß dich".encode())
    assert (echoed.status_code, echoed.text) == (200, "grüß dich")
    assert echoed.headers["content-type"].startswith("text/plain")

    teapot = host.get("/api/teapot")
    assert (teapot.status_code, teapot.text, teapot.headers["x-handle"]) == (418, "short and stout", "here")
    assert host.get("/api/nothing").status_code == 404


def test_a_starter_that_waits_for_the_output(new_host: NewHost, sessions: dict[str, str]) -> None:
    host = new_host("http_beside_durable", settings=sessions).start()
    answer = host.post("/api/sums", [1, 2, 3, 4])
    assert (answer.status_code, answer.json()) == (200, {"total": 10})
