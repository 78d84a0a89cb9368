"""The 1.x protocol: JSON to an orchestrator's `main` and its answer (sdk-api.md appendix A)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from perdure.sdk.codes import Orchestrator
from perdure.sdk.context import DurableOrchestrationContext
from perdure.sdk.types import RetryOptions

TIME = "2019-12-08T23:18:41.3240927Z"


def event(kind: int, number: int = -1, **fields: Any) -> dict[str, Any]:
    return {"EventType": kind, "EventId": number, "IsPlayed": False, "Timestamp": TIME, **fields}


def payload(*events: dict[str, Any], **fields: Any) -> str:
    history = [event(12), event(0, Name="orch", Version="2.1", Input="null"), *events]
    body = {"history": history, "input": '"x"', "instanceId": "i", "isReplaying": False, "parentInstanceId": "p"}
    return json.dumps({**body, "upperSchemaVersion": 1, "upperSchemaVersionNew": 2, "extra": 5, **fields})


def orch(context: DurableOrchestrationContext) -> Any:
    context.set_custom_status({"on": True})
    seen = [context.get_input(), context.instance_id, context.parent_instance_id, context.version]
    result = yield context.call_activity_with_retry("A", RetryOptions(1000, 2), 1)
    return [*seen, result, context.function_context.extra, len(context.histories)]  # type: ignore[attr-defined]


def test_the_published_protocol_is_answered() -> None:
    main = Orchestrator.create(orch)
    action = {
        "actionType": 1,
        "functionName": "A",
        "input": "1",
        "retryOptions": {"firstRetryIntervalInMilliseconds": 1000, "maxNumberOfAttempts": 2},
    }
    actions = [[{"actionType": 12, "compoundActions": [action]}]]
    first = json.loads(main(payload()))
    assert first == {"isDone": False, "schemaVersion": 2, "actions": actions, "customStatus": {"on": True}}
    done = json.loads(
        main(payload(event(4, 0, Name="A"), event(13), event(12), event(5, TaskScheduledId=0, Result='{"r": 1}')))
    )
    assert done["output"] == ["x", "i", "p", "2.1", {"r": 1}, 5, 6]
    assert done["isDone"] and done["actions"] == actions


def test_schema_v1_lists_the_actions_of_every_yield() -> None:
    main = Orchestrator.create(orch)
    answer = json.loads(main(payload(upperSchemaVersion=0, upperSchemaVersionNew=None)))
    assert "schemaVersion" not in answer
    assert [[a["functionName"] for a in actions] for actions in answer["actions"]] == [["A"]]


def test_a_failure_is_raised_with_the_labelled_answer() -> None:
    def fails(context: Any) -> Any:
        yield context.call_activity("A")
        raise ValueError("boom")

    with pytest.raises(Exception, match="boom") as caught:
        Orchestrator.create(fails)(payload(event(12), event(5, TaskScheduledId=0)))
    text, label, answer = str(caught.value).partition("\n\n$OutOfProcData$:")
    assert (text, bool(label)) == ("boom", True)
    assert json.loads(answer)["error"] == "boom" and json.loads(answer)["isDone"] is False

    def plain(context: Any) -> Any:
        raise KeyError("plain")

    with pytest.raises(KeyError, match="plain"):
        Orchestrator.create(plain)(payload())


def test_an_object_with_a_body_and_a_context_by_hand() -> None:
    class Carrier:
        body = payload()

    assert json.loads(Orchestrator.create(orch)(Carrier()))["isDone"] is False
    context = DurableOrchestrationContext.from_json(payload())
    assert context.get_input() == "x"
    assert str(context.current_utc_datetime) == "2019-12-08 23:18:41.324092+00:00"
    assert json.loads(Orchestrator(orch).handle(context))["isDone"] is False


def test_entity_calls_are_answered_by_events_with_the_request_s_id() -> None:
    from perdure.sdk.types import EntityId

    def calls(context: Any) -> Any:
        return (yield context.call_entity(EntityId("Counter", "Key"), "get", 1))

    sent = event(14, 0, InstanceId="@counter@Key", Name="op", Input=json.dumps({"id": "g-u-i-d"}))
    answered = event(15, Name="g-u-i-d", Input=json.dumps({"result": "[5]"}))
    done = json.loads(Orchestrator.create(calls)(payload(sent, event(12), answered)))
    assert done["output"] == [5]
    assert done["actions"] == [[{"actionType": 7, "instanceId": "@counter@Key", "operation": "get", "input": "1"}]]
