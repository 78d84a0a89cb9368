"""Every public name, member, parameter, default and enum value of the published package is here."""

from __future__ import annotations

import pytest

from tests.conformance.api_notes import NOTES
from tests.conformance.api_table import PAGE, ROOT, SHOWN, differences, page, parameter_differences, rows, surfaces

#: what differs on purpose: inner workings that a context calls and apps do not, and the one thing that is not built
ACCEPTED = {
    *(("LongTimerTask", member) for member in ("", "add_new_child", "get_next_timer_task", "handle_completion")),
    *((task, "") for task in ("CompoundTask", "WhenAllTask", "WhenAnyTask", "RetryAbleTask")),
    *((task, "try_set_value") for task in ("CompoundTask", "WhenAllTask", "WhenAnyTask", "RetryAbleTask")),
    ("LongTimerTask", "try_set_value"),
    *(
        ("TaskOrchestrationExecutor", member)
        for member in (
            "get_orchestrator_state_str",
            "has_execution_completed",
            "initialize",
            "is_task_completion_event",
            "orchestration_invocation_succeeded",
            "process_event",
            "resume_user_code",
            "set_task_value",
        )
    ),
    ("Blueprint", "durable_openai_agent_orchestrator"),
    ("DFApp", "durable_openai_agent_orchestrator"),
}


def test_nothing_is_missing() -> None:
    theirs, ours = surfaces()
    found = []
    for module, names in theirs.items():
        for name, published in names.items():
            own = ours.get(module, {}).get(name)
            for member, problem in differences(published, own):
                if (name, member) not in ACCEPTED:
                    found.append(f"{module}.{name}.{member} {problem}")
    assert found == []


def test_the_page_says_what_the_comparison_says() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == page(), "run: python -m tests.conformance.api_table"


def test_every_note_is_about_a_name_of_the_page() -> None:
    shown = {row.name for module in SHOWN for row in rows(module)}
    assert NOTES.keys() - shown == set()


@pytest.mark.parametrize("module", ["", "models.Task", "models.utils.json_utils"])
def test_the_comparison_sees_modules(module: str) -> None:
    theirs, _ = surfaces()
    assert theirs[f"{ROOT}.{module}".rstrip(".")]


def test_the_comparison_sees_differences() -> None:
    one = {"name": "a", "kind": "POSITIONAL_OR_KEYWORD", "default": None}
    two = {"name": "b", "kind": "POSITIONAL_OR_KEYWORD", "default": "1"}
    published = {"parameters": [one, two]}
    assert list(parameter_differences(published, {"parameters": [one, two]})) == []
    assert list(parameter_differences(published, {"parameters": [two, one]})) == ["parameter 0 is not 'a'"]
    assert list(parameter_differences(published, {"parameters": [one]})) == ["parameter 1 is not 'b'"]
    other = {**two, "default": "2"}
    assert list(parameter_differences(published, {"parameters": [one, other]})) == ["default of 'b' is 2, published 1"]
    needed = {**one, "name": "c"}
    assert list(parameter_differences(published, {"parameters": [one, two, needed]})) == [
        "needs the further parameter 'c'"
    ]
    assert list(differences({"kind": "class"}, None)) == [("", "missing")]
    assert list(differences({"kind": "value", "value": 1}, {"kind": "value", "value": 2})) == [
        ("", "is 2, published 1")
    ]
