"""Values between the channel and user code: HTTP requests and answers, triggers, arguments."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import azure.functions as func
import pytest

from perdure.host.protocol.messages import BeginActivity, HttpAnswer, HttpInvocation, IndexedFunction
from perdure.host.worker.bindings import Bindings, client_binding
from perdure.host.worker.http_values import http_answer, http_request
from perdure.host.worker.indexing import LoadedFunction
from perdure.host.worker.invoke import UserFunction
from perdure.host.worker.trigger_values import trigger_value
from perdure.model.execution import ActivityRequest

TRIGGER = {"name": "req", "type": "httpTrigger", "direction": "in"}
RETURN = {"name": "$return", "type": "http", "direction": "out"}
MESSAGE = {"name": "message", "type": "http", "direction": "OUT"}


def plan(call: Any, *bindings: dict[str, Any], client: str = "{}") -> Bindings:
    return Bindings("f", call, list(bindings), "/app/f", client)


def answer(returned: Any, *bindings: dict[str, Any], set_to: Any = None) -> HttpAnswer:
    made = plan(lambda req, message=None: None, TRIGGER, *bindings)
    _, outputs = made.arguments(None, "i", None)
    if set_to is not None:
        outputs["message"].set(set_to)
    return http_answer("i", made, returned, outputs)


def test_a_request_joins_repeated_headers() -> None:
    request = http_request(
        HttpInvocation(
            "i", "f", "PUT", "http://h/api/x?a=1", [("x", "1"), ("y", "2"), ("x", "3")], {"a": "1"}, {"id": "7"}, b"{}"
        )
    )
    assert (request.method, request.url, request.headers["X"], request.headers["y"]) == (
        "PUT",
        "http://h/api/x?a=1",
        "1,3",
        "2",
    )
    assert (request.params, request.route_params, request.get_json()) == ({"a": "1"}, {"id": "7"}, {})


@pytest.mark.parametrize(
    ("returned", "status", "kind", "body"),
    [
        ("hello", 200, "text/plain; charset=utf-8", b"hello"),
        ("42", 200, "text/plain; charset=utf-8", b"42"),
        ('{"a":1}', 200, "text/plain; charset=utf-8", b'{\n  "a": 1\n}'),
        ('{"body":"x","status":418,"headers":{"content-type":"a/b"}}', 418, "a/b", b"x"),
        ('{"Body":{"k":1},"statusCode":"201"}', 201, "application/json; charset=utf-8", b'{\n  "k": 1\n}'),
        (func.HttpResponse("x", status_code=202), 202, "text/plain; charset=utf-8", b"x"),
        (func.HttpResponse(b"\x00", mimetype="image/png"), 200, "image/png", b"\x00"),
        (func.HttpResponse(), 200, "text/plain; charset=utf-8", b""),
        (func.HttpResponse("x", charset="latin-1"), 200, "text/plain; charset=latin-1", b"x"),
    ],
)
def test_returned_values(returned: Any, status: int, kind: str, body: bytes) -> None:
    got = answer(returned, RETURN)
    assert (got.status, dict(got.headers)["content-type"], got.body) == (status, kind, body)


def test_cookies_stay_apart() -> None:
    response = func.HttpResponse("x")
    response.headers.add("Set-Cookie", "a=1")
    response.headers.add("Set-Cookie", "b=2; Path=/")
    got = answer(response, RETURN)
    assert [value for name, value in got.headers if name == "set-cookie"] == ["a=1", "b=2; Path=/"]


def test_output_parameter() -> None:
    assert answer(None, MESSAGE, set_to=func.HttpResponse("y", status_code=202)).status == 202
    assert answer(None, MESSAGE) == HttpAnswer("i", 204, [], b"")
    assert answer(None) == HttpAnswer("i", 204, [], b"")


@pytest.mark.parametrize("value", [None, b"x", {}, [], 5])
def test_what_is_no_answer(value: Any) -> None:
    with pytest.raises(TypeError, match=f'unable to encode outgoing TypedData.* "{type(value).__name__}"'):
        answer(value, RETURN)


def test_return_without_binding() -> None:
    with pytest.raises(RuntimeError, match=r"function 'f' without a \$return binding returned a non-None value"):
        answer("x", MESSAGE)


def test_arguments_of_every_kind() -> None:
    def call(req, client, message, blob, context):  # type: ignore[no-untyped-def]
        return None

    made = plan(
        call,
        TRIGGER,
        MESSAGE,
        {"name": "client", "Type": "orchestrationClient", "direction": "in"},
        {"name": "blob", "type": "blob", "direction": "in"},
        {"name": "out", "type": "queue", "direction": "out"},
        client='{"x": 1}',
    )
    arguments, outputs = made.arguments("R", "id-1", "00-trace")
    assert arguments["req"] == "R" and arguments["client"] == '{"x": 1}' and arguments["blob"] is None
    assert set(outputs) == {"message"} and arguments["message"] is outputs["message"]
    context = arguments["context"]
    assert (context.invocation_id, context.function_name, context.function_directory) == ("id-1", "f", "/app/f")
    assert (context.trace_context.trace_parent, context.retry_context.retry_count) == ("00-trace", 0)
    context.thread_local_storage.invocation_id = "id-1"
    assert made.other_outputs == {"out": "queue"}


def test_a_parameter_without_a_binding() -> None:
    with pytest.raises(ValueError, match=r"Function f takes starter, which no binding of it is called\. .* req"):
        plan(lambda req, starter: None, TRIGGER)


def test_client_binding_of_another_hub() -> None:
    text = '{"taskHubName": "a", "managementUrls": {"x": "http://h/i?taskHub=a&connection=S&code=K"}}'
    assert client_binding(text, {}) == text
    other = json.loads(client_binding(text, {"taskhub": "b c", "connectionname": "T"}))
    assert other == {
        "taskHubName": "b c",
        "managementUrls": {"x": "http://h/i?taskHub=b%20c&connection=T&code=K"},
    }


def test_client_binding_of_a_hub_named_by_an_app_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKHUB", "Orders")
    made = json.loads(client_binding('{"taskHubName": "a", "x": "?taskHub=a"}', {"taskhub": "%TaskHub%"}))
    assert made == {"taskHubName": "Orders", "x": "?taskHub=Orders"}
    starter = {"name": "starter", "type": "durableClient", "direction": "in", "taskHub": "%NO_SUCH_HUB%"}
    with pytest.raises(ValueError, match=r"^'%NO_SUCH_HUB%' does not resolve to a value\.$"):
        plan(lambda req, starter: None, TRIGGER, starter)


@pytest.mark.parametrize(
    ("trigger", "payload", "binding", "expected"),
    [
        ("timertrigger", None, {}, lambda v: v.past_due is False),
        ("timertrigger", "", {}, lambda v: v.schedule == {"AdjustForDST": True}),
        ("timertrigger", '{"IsPastDue": true}', {}, lambda v: v.past_due is True),
        ("queuetrigger", "hello", {}, lambda v: v.get_body() == b"hello" and v.dequeue_count == 1),
        ("queuetrigger", '{"a": 1}', {}, lambda v: v.get_json() == {"a": 1}),
        ("blobtrigger", "data", {}, lambda v: v.read() == b"data"),
        ("blobtrigger", '{"a": 1}', {}, lambda v: v.read() == b'{"a": 1}'),
        (
            "eventgridtrigger",
            '{"id": "1", "subject": "s", "eventType": "t", "data": {"k": 2}, "dataVersion": "1"}',
            {},
            lambda v: v.get_json() == {"k": 2} and v.event_type == "t",
        ),
        ("eventhubtrigger", "e", {}, lambda v: v.get_body() == b"e"),
        ("eventhubtrigger", '["a", "b"]', {"cardinality": "MANY"}, lambda v: [e.get_body() for e in v] == [b"a", b"b"]),
        ("servicebustrigger", "m", {}, lambda v: v.get_body() == b"m"),
        ("servicebustrigger", '["a", "b"]', {"cardinality": "many"}, lambda v: len(v) == 2),
        ("kafkatrigger", "k", {}, lambda v: v.get_body() == b"k"),
        ("cosmosdbtrigger", '[{"id": "1"}]', {}, lambda v: v[0]["id"] == "1"),
        ("rabbitmqtrigger", "r", {}, lambda v: v == "r"),
        ("somethingtrigger", None, {}, lambda v: v is None),
    ],
)
def test_triggers_fired_by_hand(trigger: str, payload: str | None, binding: dict[str, Any], expected: Any) -> None:
    assert expected(trigger_value(trigger, payload, binding))


def test_a_trigger_that_needs_json() -> None:
    with pytest.raises(ValueError, match="input of a eventGridTrigger must be JSON"):
        trigger_value("eventgridtrigger", "nonsense", {"type": "eventGridTrigger"})


CITY = {"name": "city", "type": "activityTrigger", "direction": "in"}


def activity(call: Any, *bindings: dict[str, Any], typed: bool = False) -> Any:
    """What a call with the input `"x"` returns, whatever the activity's parameters are."""
    indexed = IndexedFunction("act", "activitytrigger", "act", [CITY, *bindings], "app.py", "act")
    function = UserFunction(LoadedFunction(indexed, call, "/app"), "{}", typed)
    request = ActivityRequest(1, 0, 0, "inst", "act", '"x"')
    arguments, _ = function.prepare(BeginActivity("i", request))
    returned = function.call(**arguments)
    return asyncio.run(returned) if function.is_async else returned


def test_two_argument_activities_get_a_context_that_knows_nothing_and_the_input() -> None:
    for call in (lambda ctx, city: (ctx, city), lambda ctx, payload: (ctx, payload)):
        context, value = activity(call)
        assert value == "x"
        with pytest.raises(NotImplementedError, match="has no 'instance_id'"):
            _ = context.instance_id

    async def later(ctx: Any, payload: Any) -> Any:
        return payload

    assert activity(later) == "x"


def test_activities_with_other_bindings_stay_as_they_are() -> None:
    assert activity(lambda city: city) == "x"
    assert activity(lambda city, context: (city, context.function_name)) == ("x", "act")
    assert activity(lambda context, city: (context.function_name, city)) == ("act", "x")
    client = {"name": "client", "type": "durableClient", "direction": "in"}
    assert activity(lambda client, city: (client, city), client) == ("{}", "x")
    with pytest.raises(ValueError, match="takes a, b, which no binding"):
        activity(lambda city, a, b: None)
