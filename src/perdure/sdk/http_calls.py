"""HTTP requests of a client that runs outside a worker: scripts and tests that hold a binding's JSON."""

from __future__ import annotations

from typing import Any


def _read(response: Any, when_empty: Any) -> list[Any]:
    return [response.status_code, response.json() if response.content else when_empty]


def _options() -> dict[str, Any]:
    import httpx

    return {"timeout": httpx.Timeout(240.0, connect=10.0)}


def _headers(trace_parent: str | None, trace_state: str | None, function_invocation_id: str | None) -> dict[str, str]:
    given = {
        "traceparent": trace_parent,
        "tracestate": trace_state,
        "X-Azure-Functions-InvocationId": function_invocation_id,
    }
    return {name: value for name, value in given.items() if value}


async def post_async_request(
    url: str,
    data: Any = None,
    trace_parent: str | None = None,
    trace_state: str | None = None,
    function_invocation_id: str | None = None,
) -> list[Any]:
    """POST `data` as JSON; gives ``[status, parsed body]``, None for an empty body."""
    import httpx

    headers = _headers(trace_parent, trace_state, function_invocation_id)
    async with httpx.AsyncClient(**_options()) as client:
        return _read(await client.post(url, json=data, headers=headers), None)


async def get_async_request(url: str, function_invocation_id: str | None = None) -> list[Any]:
    """GET; gives ``[status, parsed body]``, an empty text for an empty body."""
    import httpx

    async with httpx.AsyncClient(**_options()) as client:
        return _read(await client.get(url, headers=_headers(None, None, function_invocation_id)), "")


async def delete_async_request(url: str, function_invocation_id: str | None = None) -> list[Any]:
    """DELETE; gives ``[status, parsed body]``, None for an empty body."""
    import httpx

    async with httpx.AsyncClient(**_options()) as client:
        return _read(await client.delete(url, headers=_headers(None, None, function_invocation_id)), None)


def request_sync(verb: str, url: str, data: Any = None) -> list[Any]:
    """Any of the three, blocking."""
    import httpx

    with httpx.Client(**_options()) as client:
        response = client.request(verb, url, json=data) if verb == "POST" else client.request(verb, url)
    return _read(response, "" if verb == "GET" else None)
