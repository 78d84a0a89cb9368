from __future__ import annotations

import json

from perdure.host.http.exchange import Request
from perdure.host.http.health import HealthApi


class Fake:
    def __init__(self, *reasons: str) -> None:
        self.reasons = list(reasons)

    def unready(self) -> list[str]:
        return self.reasons


def asked(path: str, host: Fake, method: str = "GET") -> tuple[int, dict[str, object]]:
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "headers": [],
        "query_string": b"",
    }
    answer = HealthApi(host)(Request(scope, None, 100))  # type: ignore[arg-type]
    return answer.status, json.loads(answer.body or b"{}")


def test_live_is_answered_whatever_is_wrong() -> None:
    assert asked("/runtime/health/live", Fake("all of it")) == (200, {"status": "Healthy"})


def test_ready_says_why_not() -> None:
    assert asked("/runtime/health/ready", Fake()) == (200, {"status": "Healthy"})
    assert asked("/runtime/health/ready/", Fake("No.")) == (503, {"status": "Unhealthy", "reasons": ["No."]})


def test_anything_else_is_not_there() -> None:
    assert asked("/runtime/health/other", Fake())[0] == 404
    assert asked("/runtime/health/live", Fake(), "POST")[0] == 405
