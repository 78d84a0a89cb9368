"""Probes for whatever starts and watches hosts: is the process alive, and may it get requests."""

from __future__ import annotations

from typing import Protocol

from perdure.host.http.exchange import Request, Response, json_response

PREFIX = "/runtime/health/"


class Readiness(Protocol):
    """What the probes ask of the running host."""

    def unready(self) -> list[str]:
        """Why the host cannot do its work now, a sentence each; empty when it can."""


class HealthApi:
    """Answers below `/runtime/health/`, also while the host starts and stops."""

    def __init__(self, host: Readiness) -> None:
        self._host = host

    def __call__(self, request: Request) -> Response:
        """`live`: 200 as long as the process answers. `ready`: 200, or 503 with the reasons."""
        if request.method not in ("GET", "HEAD"):
            return Response(405, b"", [(b"allow", b"GET, HEAD")])
        match request.path[len(PREFIX) :].rstrip("/").lower():
            case "live":
                return json_response(200, {"status": "Healthy"})
            case "ready":
                reasons = self._host.unready()
                if reasons:
                    return json_response(503, {"status": "Unhealthy", "reasons": reasons})
                return json_response(200, {"status": "Healthy"})
            case _:
                return Response(404)
