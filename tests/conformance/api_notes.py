"""What is better here than in the published package, name by name. Read by `api_table`."""

from __future__ import annotations

_QUOTED = "names and ids are quoted in URLs, aware times are converted to UTC"
_TASKS = "also `get_result`, `get_exception`, `is_complete`, `is_failed`; can be awaited"

NOTES = {
    # classes
    "Blueprint.activity_trigger": "mistakes in the function's shape are reported with file and line",
    "Blueprint.durable_client_input": "plain functions get a blocking client",
    "DFApp.durable_client_input": "plain functions get a blocking client",
    "Blueprint.orchestration_trigger": "any parameter name, `async def`, functions of (context, input)",
    "DFApp.orchestration_trigger": "any parameter name, `async def`, functions of (context, input)",
    "Blueprint.entity_trigger": "any parameter name, `async def`, functions of (context, input), classes",
    "DFApp.entity_trigger": "any parameter name, `async def`, functions of (context, input), classes",
    "DFApp.activity_trigger": "mistakes in the function's shape are reported with file and line",
    "Blueprint.durable_openai_agent_orchestrator": "raises `ImportError`: the preview for `openai-agents` is not built",
    "DFApp.durable_openai_agent_orchestrator": "raises `ImportError`: the preview for `openai-agents` is not built",
    "Orchestrator.create": "reports functions that can never run, with file and line",
    "Entity.create": "reports functions that can never run, with file and line",
    "EntityId": "can be a dictionary key",
    "RetryOptions": "also back-off, longest interval and time-out",
    # client
    "DurableOrchestrationClient": "has `task_hub_name`, and the methods of SDK 2.0",
    "DurableOrchestrationClient.start_new": f"takes a decorated function, too; {_QUOTED}",
    "DurableOrchestrationClient.get_status_all": "reads all pages",
    "DurableOrchestrationClient.get_status_by": f"reads all pages; {_QUOTED}",
    "DurableOrchestrationClient.raise_event": "event names with any character; values with `to_json`",
    "DurableOrchestrationClient.terminate": "the reason is optional",
    "DurableOrchestrationClient.suspend": "the reason is optional",
    "DurableOrchestrationClient.resume": "the reason is optional",
    "DurableOrchestrationClient.rewind": "the reason is optional and quoted",
    "DurableOrchestrationClient.restart": "always gives the id",
    "DurableOrchestrationClient.signal_entity": "sends falsy inputs; can be delayed",
    "DurableOrchestrationClient.purge_instance_history_by": _QUOTED,
    "DurableOrchestrationClient.create_http_management_payload": "the result has `.urls` and is JSON as text",
    "DurableOrchestrationStatus.history": "filled when asked for",
    "DurableOrchestrationStatus.to_json": "works on the status of an unknown instance",
    # entity context
    "DurableEntityContext.get_input": "None without an input; values posted over HTTP arrive",
    "DurableEntityContext.set_result": "forgotten between operations; a return value counts when none was set",
    # orchestration context
    "DurableOrchestrationContext.call_activity": "decorated functions by their durable name; awaitable",
    "DurableOrchestrationContext.call_http": "202 answers are polled; the result is a dict with attributes",
    "DurableOrchestrationContext.call_sub_orchestrator": "decorated functions by their durable name",
    "DurableOrchestrationContext.create_timer": "any length; any zone; naive times are UTC",
    "DurableOrchestrationContext.wait_for_external_event": "no event is lost or seen twice; names without case",
    "DurableOrchestrationContext.task_all": "any iterable of tasks",
    "DurableOrchestrationContext.task_any": "any iterable of tasks",
    "DurableOrchestrationContext.continue_as_new": "events that nobody waited for are carried over",
    "DurableOrchestrationContext.signal_entity": "may be yielded",
    "DurableOrchestrationContext.get_input": "texts, lists and numbers posted over HTTP arrive",
    # tasks
    "TaskBase": _TASKS,
    "CompoundTask": "made by `task_all` and `task_any` only",
    "WhenAllTask": "made by `task_all` only",
    "WhenAnyTask": "made by `task_any` only",
    "RetryAbleTask": "made by the calls with retry only",
    "LongTimerTask": "the same class as `TimerTask`: timers have no limit",
    # testing
    "orchestrator_generator_wrapper": "works for orchestrators that return before their first yield",
}
