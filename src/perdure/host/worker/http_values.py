"""HTTP requests and answers between the channel and `azure.functions` (http-api.md 9.3, 9.4)."""

from __future__ import annotations

import json
from typing import Any

import azure.functions as func

from perdure.host.protocol.messages import HttpAnswer, HttpInvocation
from perdure.host.worker.bindings import Bindings, Out

_TEXT = ("content-type", "text/plain; charset=utf-8")


def http_request(message: HttpInvocation) -> func.HttpRequest:
    """What an HTTP function gets. Values of a repeated header are joined by commas."""
    headers: dict[str, str] = {}
    for name, value in message.headers:
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return func.HttpRequest(
        method=message.method,
        url=message.url,
        headers=headers,
        params=message.params,
        route_params=message.route_params,
        body=message.body,
    )


def http_answer(invocation: str, bindings: Bindings, returned: Any, outputs: dict[str, Out]) -> HttpAnswer:
    """The answer to an HTTP invocation.

    Raises TypeError for values that are no HTTP answer, RuntimeError for a value that no binding takes.
    """
    name = bindings.http_output
    if name == "$return":
        return _encoded(invocation, returned)
    if returned is not None and "$return" not in bindings.other_outputs:
        raise RuntimeError(
            f"function '{bindings.function}' without a $return binding returned a non-None value "
            f"of type {type(returned).__name__}"
        )
    if name is None or name not in outputs or not outputs[name].is_set:
        return HttpAnswer(invocation, 204, [], b"")
    return _encoded(invocation, outputs[name].get())


def _encoded(invocation: str, value: Any) -> HttpAnswer:
    if isinstance(value, func.HttpResponse):
        return _response(invocation, value)
    if isinstance(value, str):
        return _from_text(invocation, value)
    raise TypeError(
        f'unable to encode outgoing TypedData: unsupported type "http" for Python type "{type(value).__name__}": '
        "return an azure.functions.HttpResponse or a str"
    )


def _response(invocation: str, response: func.HttpResponse) -> HttpAnswer:
    headers = [(str(name).lower(), str(value)) for name, value in _header_items(response.headers)]
    if not any(name == "content-type" for name, _ in headers):
        kind = response.mimetype
        if kind.startswith("text/"):
            kind = f"{kind}; charset={response.charset}"
        headers.append(("content-type", kind))
    return HttpAnswer(invocation, int(response.status_code), headers, bytes(response.get_body() or b""))


def _header_items(headers: Any) -> Any:
    """All pairs, repeated names included."""
    return headers.items() if headers is not None else ()


def _from_text(invocation: str, text: str) -> HttpAnswer:
    """A returned text: an envelope with a `body`, other JSON printed indented, or the text itself."""
    try:
        value = json.loads(text)
    except ValueError:
        return HttpAnswer(invocation, 200, [_TEXT], text.encode())
    if isinstance(value, dict):
        named = {name.lower(): item for name, item in value.items()}
        if "body" in named:
            return _from_envelope(invocation, named)
    if isinstance(value, (dict, list)):
        text = json.dumps(value, indent=2, ensure_ascii=False)
    return HttpAnswer(invocation, 200, [_TEXT], text.strip().encode())


def _from_envelope(invocation: str, named: dict[str, Any]) -> HttpAnswer:
    body = named["body"]
    status = int(named.get("status", named.get("statuscode", 200)))
    headers = [(str(name).lower(), str(value)) for name, value in (named.get("headers") or {}).items()]
    headers += [("set-cookie", _cookie(cookie)) for cookie in named.get("cookies") or ()]
    content = body if isinstance(body, str) else "" if body is None else json.dumps(body, indent=2, ensure_ascii=False)
    if not any(name == "content-type" for name, _ in headers):
        headers.append(_TEXT if isinstance(body, str) else ("content-type", "application/json; charset=utf-8"))
    return HttpAnswer(invocation, status, headers, content.encode())


def _cookie(cookie: dict[str, Any]) -> str:
    named = {name.lower(): value for name, value in cookie.items()}
    parts = [f"{named.get('name', '')}={named.get('value', '')}"]
    for name, written in (("domain", "domain"), ("path", "path"), ("maxage", "max-age"), ("samesite", "samesite")):
        if named.get(name) is not None:
            parts.append(f"{written}={named[name]}")
    parts += [name for name in ("secure", "httponly") if named.get(name)]
    return "; ".join(parts)
