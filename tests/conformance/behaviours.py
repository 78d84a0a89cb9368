# ruff: noqa: E501
"""The behaviours of SDK 1.x that apps can see, row by row, and the page `docs/compatibility.md` made of them.

`python -m tests.conformance.behaviours` writes the page. Every row names the tests that show it.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from perdure.sdk.dialect import NATIVE, V1, V2

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
ORACLE = "test_every_pair_of_constructs_agrees_with_the_published_executor"


class Row(NamedTuple):
    """`here`: same, better or missing. `setting` gives the other answer, where there is one."""

    area: str
    published: str
    here: str
    how: str
    setting: str
    tests: str


SCHEDULING = [
    Row(
        "when calls are scheduled",
        "at the `yield`, in list order, depth first",
        "same",
        "",
        "`dialect` 2: at the call",
        "test_dialect_1_schedules_at_the_yield_in_list_order_depth_first test_dialect_2_schedules_at_the_call_yielded_or_not",
    ),
    Row(
        "calls never yielded",
        "lost silently",
        "better",
        "lost as well, and a warning names them with file and line",
        "`dialect` 2: they run",
        "test_calls_that_were_never_yielded_are_named_in_a_warning",
    ),
    Row(
        "a task yielded again",
        "the same outcome, nothing scheduled",
        "same",
        "",
        "",
        "test_the_same_task_yielded_twice_gives_the_same_and_schedules_nothing",
    ),
    Row(
        "a loser of `task_any` used again",
        "not scheduled twice",
        "same",
        "",
        "",
        "test_a_loser_can_be_waited_for_later_and_is_not_scheduled_again",
    ),
    Row(
        "one task in two waiting compounds",
        "the first compound never completes",
        "better",
        "both complete",
        "",
        "test_a_task_in_two_waiting_compounds_completes_both",
    ),
    Row(
        "a task listed twice in a compound",
        "its action twice; a crash when it is complete",
        "better",
        "one task, its result repeats",
        "",
        "test_a_task_listed_twice_is_one_task",
    ),
    Row(
        "thousands of complete tasks in a row, deep nesting",
        "`RecursionError`",
        "better",
        "no recursion anywhere",
        "",
        "test_5000_tasks_that_are_complete_in_one_turn_need_no_recursion test_deeply_nested_compounds_need_no_recursion",
    ),
    Row(
        "yield of something that is no task",
        "an internal `AttributeError`; `None` hangs",
        "better",
        "the instance fails with the line, what was yielded and what to write",
        "",
        "test_a_yielded_value_is_explained_with_its_line",
    ),
    Row(
        "yield of the return of `signal_entity`",
        "sent twice, then waits for ever",
        "better",
        "sent once, goes on",
        "",
        "test_sub_orchestrations_entities_and_signals",
    ),
    Row(
        "a task used instead of its result",
        "an error about `AtomicTask` somewhere later",
        "better",
        "explained where it shows",
        "",
        "test_a_forgotten_yield_is_explained_where_it_shows test_a_task_used_as_its_result_is_explained_with_its_line",
    ),
    Row(
        "an activity function called directly",
        "runs inside the orchestrator, again on every replay",
        "better",
        "runs as well, and a warning names the line and what to write",
        "",
        "test_an_activity_called_directly_in_an_orchestrator_is_named_in_a_warning",
    ),
    Row(
        "`async def` orchestrators",
        "fail on their output",
        "better",
        "the same tasks awaited; asyncio primitives are refused with what to write",
        "",
        "test_async_orchestrators_await_the_same_tasks test_asyncio_in_an_orchestrator_is_refused_with_what_to_write",
    ),
    Row(
        "`finally` and `except GeneratorExit` around a `yield`",
        "run at the end of every turn",
        "better",
        "run at the end, or when a session is evicted; what they do then is ignored",
        "`maxSessions` 0: as published",
        "test_closing_a_session_ignores_what_the_code_does_then",
    ),
    Row(
        "changed code of a running instance",
        "wrong results, crashes or hangs",
        "better",
        "the instance is parked with a report: position, recorded call, call made now with its line, probable cause",
        "`onMismatch`",
        "test_a_renamed_call_is_reported_with_both_sides_and_the_line",
    ),
]

COMPOUNDS = [
    Row(
        "`task_all`, a child fails",
        "fails at once with the first failure",
        "same",
        "and code goes on at once; the published host waits for all children first",
        "`dialect` 2: when all are over",
        "test_task_all_fails_at_the_first_failure_and_stays_failed test_task_all_of_dialect_2_waits_for_all_and_then_throws_the_first_failure",
    ),
    Row(
        "a failed `task_all` whose other children succeed",
        "becomes successful with the exception in its results, or crashes the invocation",
        "better",
        "stays failed",
        "",
        "test_task_all_fails_at_the_first_failure_and_stays_failed",
    ),
    Row(
        "`task_any`",
        "the first complete child as a task, failed or not",
        "same",
        "",
        "",
        "test_task_any_is_won_by_a_failed_child_whose_failure_is_thrown_when_yielded",
    ),
    Row(
        "empty `task_all` and `task_any`",
        "complete with `None`",
        "same",
        "",
        "`dialect` 2: never complete",
        "test_empty_compounds_complete_with_none_in_dialect_1_and_never_in_dialect_2",
    ),
    Row(
        "the argument",
        "list or tuple",
        "better",
        "any iterable; what is no task is named with its position",
        "",
        "test_any_iterable_is_accepted_and_what_is_no_task_is_named",
    ),
    Row(
        "`task.result` before completion and after a failure",
        "`None`, the exception object",
        "same",
        "",
        "`dialect` 2: both raise",
        "test_results_before_completion_and_of_failures_by_dialect",
    ),
    Row("nesting in any combination", "works", "same", "", "", ORACLE),
]

TIMERS = [
    Row(
        "naive datetimes",
        "`TypeError`, or taken as UTC",
        "better",
        "taken as UTC",
        "",
        "test_timers_naive_times_are_utc_and_other_zones_are_converted",
    ),
    Row(
        "datetimes of other zones",
        "their local digits are taken as UTC",
        "better",
        "converted",
        "",
        "test_timers_naive_times_are_utc_and_other_zones_are_converted",
    ),
    Row(
        "long timers",
        "chains of timers of another class without `is_cancelled`",
        "better",
        "one timer of any length, both spellings",
        "",
        "test_timers_naive_times_are_utc_and_other_zones_are_converted",
    ),
    Row(
        "what is no datetime",
        "`ValueError` with two arguments",
        "same",
        "",
        "two-argument functions take a `timedelta`",
        "test_what_is_no_datetime_is_refused_as_published",
    ),
    Row(
        "a cancelled timer",
        "never completes",
        "same",
        "and never keeps the instance running",
        "`dialect` 2: completes, its result raises",
        "test_cancelling_a_fired_timer_raises_in_dialect_1_and_a_cancelled_one_never_completes test_a_cancelled_timer_of_dialect_2_completes_and_its_result_raises",
    ),
]

EVENTS = [
    Row(
        "events raised by the client",
        "arrive as JSON text",
        "same",
        "",
        "`decodeEvents`, or `dialect` 2: decoded",
        "test_events_of_the_client_are_json_text_in_dialect_1_unless_decoded",
    ),
    Row(
        "events posted over HTTP",
        "arrive decoded",
        "same",
        "",
        "",
        "test_events_of_the_client_are_json_text_in_dialect_1_unless_decoded",
    ),
    Row(
        "several early events of one name",
        "the last one is delivered, again and again",
        "better",
        "first in, first out, each once",
        "",
        "test_early_events_are_a_queue_each_consumed_once_whatever_the_case",
    ),
    Row(
        "case of event names",
        "matters in the replay, not in the host",
        "better",
        "never matters",
        "",
        "test_early_events_are_a_queue_each_consumed_once_whatever_the_case",
    ),
    Row(
        "several open waits of one name",
        "the last one opened is served first",
        "same",
        "",
        "`dialect` 2: the first one",
        "test_events_several_waits_last_first_in_dialect_1_and_first_first_in_dialect_2",
    ),
    Row(
        "events that nobody waited for at `continue_as_new`",
        "dropped",
        "better",
        "carried over in order",
        "`carryOverEvents` false: dropped",
        "test_unconsumed_events_are_carried_over_continue_as_new_in_order",
    ),
]

FAILURES = [
    Row(
        "a failed activity or child",
        "`Exception` with the text `Reason \\n Details`",
        "same",
        "of a subclass that carries type, message, traceback, cause chain and the original class",
        "`dialect` 2: the texts of 2.0",
        "test_the_failure_of_an_activity_arrives_as_published_text_with_everything_behind_it test_a_failure_keeps_type_traceback_cause_and_class",
    ),
    Row(
        "a failed entity operation",
        "`Exception` with the operation's text",
        "same",
        "",
        "`dialect` 2: the text of 2.0",
        "test_a_failed_entity_call_throws_its_text",
    ),
    Row(
        "an uncaught exception",
        "`Orchestrator function 'X' failed: text`",
        "same",
        "with type, traceback and causes as data",
        "",
        "test_an_exception_ends_the_orchestration_with_the_published_text test_an_error_without_text_is_told_by_its_class",
    ),
    Row(
        "`SystemExit` and the like",
        "escape from the handler",
        "better",
        "the instance fails with a text that explains",
        "",
        "test_base_exceptions_shapes_and_foreign_tasks_fail_the_orchestration_with_reasons",
    ),
    Row(
        "output that is no JSON",
        "`Object of type X is not JSON serializable`",
        "better",
        "the text names the path; objects with `to_json`, dataclasses, dates and so on are accepted",
        "",
        "test_an_output_that_is_no_json_names_its_path",
    ),
    Row(
        "a result that cannot be decoded",
        "the invocation crashes",
        "better",
        "thrown at the `yield`",
        "",
        "test_a_result_that_cannot_be_rebuilt_is_thrown_at_the_yield",
    ),
    Row(
        "unknown orchestrator name",
        "refused by the host",
        "same",
        "a failed task for a parent",
        "",
        "test_an_unknown_orchestrator_fails_with_a_text_that_says_so",
    ),
]

RETRIES = [
    Row(
        "after the last attempt",
        "one more pause, then the failure",
        "better",
        "the failure at once",
        "",
        "test_attempts_and_timers_take_numbers_and_the_last_error_is_thrown_without_a_further_pause",
    ),
    Row(
        "back-off, longest pause, time-out",
        "not available",
        "better",
        "keyword arguments of `RetryOptions`, and `RetryPolicy`",
        "",
        "test_the_full_policy_backs_off_up_to_its_limits",
    ),
    Row(
        "a retried call in `task_any` followed by a fan-out",
        "can hang for ever",
        "better",
        "cannot: numbers are given once, by the code's own turn",
        "",
        "test_a_retried_task_in_task_any_followed_by_a_new_fan_out_completes",
    ),
]

CONTEXT = [
    Row(
        "`new_uuid`, `new_guid`",
        "formulas of instance id, time and counter",
        "same",
        "",
        "",
        "test_ids_follow_the_published_formulas",
    ),
    Row(
        "`current_utc_datetime`",
        "the time of the turn, aware",
        "same",
        "",
        "two-argument functions: naive",
        "test_clock_and_replay_flag_by_turn",
    ),
    Row(
        "`is_replaying`",
        "true before the newest results",
        "better",
        "false exactly for code that runs for the first time, also after a task that was complete earlier",
        "",
        "test_clock_and_replay_flag_by_turn",
    ),
    Row(
        "logs and prints of replayed code",
        "repeated on every turn",
        "better",
        "once",
        "`traceReplayEvents`",
        "test_logs_are_silent_during_replay_only",
    ),
    Row(
        "`histories`",
        "the events so far",
        "same",
        "kept only by orchestrators that look at them",
        "`dialect` 2: `NotImplementedError`",
        "test_histories_are_published_events_kept_from_the_first_look_on test_histories_do_not_exist_in_dialect_2",
    ),
    Row("`version` that was not set", '`""`', "same", "", "`dialect` 2: `None`", "test_input_parent_and_version"),
    Row("`get_input`", "decoded anew on every call", "same", "", "", "test_input_parent_and_version"),
    Row(
        "falsy custom status",
        "stored as null",
        "same",
        "",
        "`dialect` 2: kept",
        "test_the_last_status_of_a_turn_is_given_and_falsy_ones_depend_on_the_dialect",
    ),
    Row(
        "custom status above 16 KB",
        "the orchestration fails",
        "same",
        "",
        "",
        "test_a_status_over_the_limit_fails_the_orchestration",
    ),
    Row(
        "`continue_as_new` called twice",
        "the first input wins",
        "same",
        "",
        "",
        "test_the_first_continue_as_new_wins_code_goes_on_to_the_next_yield_and_actions_are_dropped",
    ),
    Row(
        "code after `continue_as_new`",
        "runs up to the next `yield`; its actions are dropped",
        "same",
        "",
        "",
        "test_the_first_continue_as_new_wins_code_goes_on_to_the_next_yield_and_actions_are_dropped",
    ),
    Row(
        "an exception after `continue_as_new`",
        "the orchestration fails",
        "same",
        "",
        "",
        "test_continue_as_new_without_yield_and_with_a_return_value",
    ),
    Row(
        "annotations",
        "never change a plain value",
        "same",
        "they count in `async def` and two-argument functions",
        "`typedPayloads`, `dialect` 2",
        "test_annotations_convert_plain_json_in_async_orchestrators_and_not_in_generators_of_dialect_1 test_typed_payloads_and_dialect_2_convert_in_generators_too",
    ),
    Row(
        "`call_http`, status 202 with `Location`",
        "the 202 is the result, numbers get out of step",
        "better",
        "polled by durable timers",
        "`Retry-After`, else `defaultAsyncRequestSleepTimeMilliseconds`",
        "test_a_202_is_polled_by_timers_until_another_status",
    ),
    Row(
        "the result of `call_http`",
        "a dict",
        "same",
        "that also has the attributes of 2.0",
        "",
        "test_a_202_is_polled_by_timers_until_another_status",
    ),
    Row(
        "a context used after its turn",
        "silently ignored",
        "better",
        "an error that says so",
        "",
        "test_a_context_used_outside_its_turn_says_so",
    ),
    Row(
        "long timers in the 1.x protocol (JSON to `main`)",
        "chains of inner timers",
        "missing",
        "one timer action: only hand-made payloads with `maximumShortTimerDuration` can tell",
        "",
        "test_the_published_protocol_is_answered",
    ),
]

CLIENT = [
    Row(
        "`input_` of an instance that the client started",
        "the JSON text of the input",
        "same",
        "",
        "`dialect` 2: decoded",
        "test_status test_operations test_dialect_2",
    ),
    Row(
        "`wait_for_completion_or_create_check_status_response` of a failed instance",
        "status 500",
        "same",
        "",
        "`dialect` 2: 200; `return_internal_server_error_on_failure`",
        "test_waiting_for_completion test_dialect_2",
    ),
    Row(
        "history of a status",
        "always `None`; the events are in `historyEvents`",
        "better",
        "both",
        "",
        "test_status",
    ),
    Row(
        "`restart`",
        "may give the whole answer of the host",
        "better",
        "always the instance id",
        "",
        "test_operations",
    ),
    Row(
        "names, ids and event names in URLs",
        "not quoted",
        "better",
        "quoted",
        "",
        "test_urls_of_posts",
    ),
    Row(
        "`signal_entity` with `0`, `False` or `''`",
        "arrives without input",
        "better",
        "arrives as it is",
        "",
        "test_operations",
    ),
    Row(
        "lists of more than a page of statuses",
        "the first page",
        "better",
        "all of them",
        "",
        "test_listing_follows_all_pages",
    ),
    Row(
        "a plain function with a client binding",
        "runs, then `TypeError`",
        "better",
        "gets a blocking client",
        "",
        "test_plain_function_gets_the_blocking_client",
    ),
]

HOSTS = [
    Row(
        "when worker processes start",
        "one, then one more every 10 s",
        "better",
        "all at once",
        "`FUNCTIONS_WORKER_PROCESS_COUNT`",
        "test_all_processes_start_at_once_and_share_the_activities test_all_worker_processes_are_there_at_once",
    ),
    Row(
        "which process runs an activity",
        "each in turn, busy or not",
        "better",
        "a plain one goes where most threads are free, an `async def` one where least runs; HTTP functions go in turn, past processes without a free thread",
        "",
        "test_an_activity_goes_where_a_thread_is_free test_http_functions_take_turns_among_the_free_processes",
    ),
    Row(
        "activities that a host takes",
        "up to its limit, whether its workers have threads for them or not",
        "better",
        "up to its limit and no more plain ones than there are free threads; the rest stays in the store, for whichever host has a slot first",
        "`maxConcurrentActivityFunctions`, `PYTHON_THREADPOOL_THREAD_COUNT`",
        "test_activities_run_within_limit_and_threads test_a_host_claims_what_it_can_run_and_leaves_the_rest test_a_coroutine_takes_a_slot_and_no_thread",
    ),
    Row(
        "`maxConcurrentOrchestratorFunctions`",
        "orchestrations in memory",
        "better",
        "turns at one moment, entity batches among them; what waits in memory does not count",
        "`maxConcurrentEntityFunctions` gives entities a limit of their own",
        "test_turns_at_one_moment_and_not_instances test_entities_have_a_limit_of_their_own_when_it_is_written",
    ),
    Row(
        "extended sessions",
        "off for Python, with a warning when asked for",
        "better",
        "the same warning; code is always kept between turns",
        "`maxSessions`, `sessionIdle`",
        "test_extended_sessions_are_accepted_without_effect test_turns_at_one_moment_and_not_instances",
    ),
]

SECTIONS = {
    "Scheduling and running": SCHEDULING,
    "Compounds": COMPOUNDS,
    "Timers": TIMERS,
    "External events": EVENTS,
    "Failures and output": FAILURES,
    "Retries": RETRIES,
    "The context": CONTEXT,
    "The client": CLIENT,
    "Hosts and workers": HOSTS,
}

#: what each field of the table of dialects means
DIALECT_FIELDS = {
    "number": "dialect",
    "schedules_at_call": "calls are scheduled when made",
    "all_fails_fast": "`task_all` fails at the first failure",
    "empty_compound_completes": "empty `task_all`, `task_any` complete",
    "result_raises": "`task.result` raises before completion and after a failure",
    "cancelled_completes": "a cancelled timer completes",
    "decodes_client_events": "events of the client arrive decoded",
    "waits_last_first": "the last opened wait is served first",
    "failure_has_task_number": "failures have the texts of 2.0",
    "has_histories": "`histories` is there",
    "keeps_falsy_status": "a falsy custom status is kept",
    "unset_version": "`version` when unset",
    "clock_has_zone": "`current_utc_datetime` is aware",
    "converts_to_annotations": "plain JSON becomes the annotated type",
}

#: what the generated comparison leaves out or lets pass, and why
NOT_COMPARED = [
    ("one more timer after the last attempt", "switched on in the comparison so that task numbers agree; see Retries"),
    ("polling of `call_http`", "switched off in the comparison; see The context"),
    ("a value returned after `continue_as_new`", "the published answer still holds it; no host reads it"),
    ("one task in two waiting compounds, or twice in one", "not generated: the published executor hangs or crashes"),
    ("a failed `task_all` with later successes", "not generated; where it crashes the published executor the run ends"),
    ("two early events of one name", "not generated: the published executor loses one"),
    ("`is_replaying`", "not part of the trace: differs by choice"),
]


def page() -> str:
    """The text of the page."""
    lines = [
        "# Behaviours of SDK 1.x, row by row",
        "",
        "What apps written for `azure-functions-durable` 1.x can see. *same*: as the published package 1.7.0; *better*:",
        "where that loses, hangs or crashes, the answer here; *missing*: not here. Where 1.x merely gives another value",
        "than one would like, its value is the default, and the setting named gives the other one. Every row has a test;",
        "on top of them, generated orchestrators are compared turn by turn with the published executor. Names and",
        "signatures are in [compatibility-api.md](compatibility-api.md), what differs over HTTP in [http.md](http.md).",
        "",
        "This page is written by `python -m tests.conformance.behaviours`.",
    ]
    for title, rows in SECTIONS.items():
        lines += [
            "",
            f"## {title}",
            "",
            "| what | published 1.7.0 | here | how | setting |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [f"| {row.area} | {row.published} | {row.here} | {row.how} | {row.setting} |" for row in rows]
    lines += [
        "",
        "## The dialects",
        "",
        "One-argument functions follow the app's `dialect`; two-argument functions follow the last column in any app.",
        "A generation goes on in the dialect that it began in, also when the app has moved to the other one since.",
        "",
        "| rule | 1 | 2 | two-argument functions |",
        "| --- | --- | --- | --- |",
    ]
    for name, meaning in DIALECT_FIELDS.items():
        cells = " | ".join(_cell(getattr(column, name)) for column in (V1, V2, NATIVE))
        lines.append(f"| {meaning} | {cells} |")
    lines += ["", "## What the generated comparison leaves out", "", "| what | why |", "| --- | --- |"]
    lines += [f"| {what} | {why} |" for what, why in NOT_COMPARED]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"`{value!r}`" if isinstance(value, str) or value is None else str(value)


if __name__ == "__main__":
    PAGE.write_text(page())
