"""A client of a debugger, as editors are one: the Debug Adapter Protocol over a socket."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from typing import Any


class DebugClient:
    """Attaches to debugpy at `port`, stops at breakpoints and goes on."""

    def __init__(self, port: int, seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError):
                self._socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
                break
            assert time.monotonic() < end, f"no debugger listens on port {port}"
            time.sleep(0.05)
        self._file = self._socket.makefile("rb")
        self._number = 0
        self._events: list[dict[str, Any]] = []

    def attach(self, breakpoints: dict[str, list[int]]) -> None:
        """Attach, with breakpoints at these lines of these files."""
        self._request("initialize", {"clientID": "test", "adapterID": "debugpy", "pathFormat": "path"})
        attached = self._send("attach", {"justMyCode": True})
        self.event("initialized")
        for path, lines in breakpoints.items():
            wanted = [{"line": line} for line in lines]
            answer = self._request("setBreakpoints", {"source": {"path": path}, "breakpoints": wanted})
            assert all(found["verified"] for found in answer["breakpoints"]), answer
        self._request("configurationDone", {})
        self._answer(attached)

    def stopped_at(self) -> tuple[int, int]:
        """Wait until a thread stops at a breakpoint: the thread, and the line."""
        thread = self.event("stopped")["threadId"]
        frames = self._request("stackTrace", {"threadId": thread})["stackFrames"]
        return thread, frames[0]["line"]

    def go_on(self, thread: int) -> None:
        """Let it run on."""
        self._request("continue", {"threadId": thread})

    def close(self) -> None:
        """Detach; what is stopped runs on."""
        with contextlib.suppress(OSError):
            self._request("disconnect", {"terminateDebuggee": False})
        self._socket.close()

    def event(self, name: str) -> dict[str, Any]:
        """Wait for an event."""
        while True:
            for position, message in enumerate(self._events):
                if message["event"] == name:
                    body: dict[str, Any] = self._events.pop(position).get("body", {})
                    return body
            message = self._read()
            if message["type"] == "event":
                self._events.append(message)

    def _request(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return self._answer(self._send(command, arguments))

    def _send(self, command: str, arguments: dict[str, Any]) -> int:
        self._number += 1
        body = json.dumps({"seq": self._number, "type": "request", "command": command, "arguments": arguments})
        self._socket.sendall(f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
        return self._number

    def _answer(self, number: int) -> dict[str, Any]:
        while True:
            message = self._read()
            if message["type"] == "event":
                self._events.append(message)
            elif message["type"] == "response" and message["request_seq"] == number:
                assert message["success"], message
                body: dict[str, Any] = message.get("body") or {}
                return body

    def _read(self) -> dict[str, Any]:
        size = 0
        while line := self._file.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                size = int(value)
        assert size, "the debugger hung up"
        found: dict[str, Any] = json.loads(self._file.read(size))
        return found
