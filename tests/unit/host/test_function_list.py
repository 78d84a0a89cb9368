"""Functions of an app: disabled ones, routes, durable names, what is printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perdure.host.functions.function_list import FunctionList, list_functions, printed_list
from perdure.host.protocol.messages import IndexedFunction
from perdure.host.settings.config import HostConfig
from tests.unit.host.front_fakes import configured


def function(
    name: str, trigger: str, durable_name: str = "", disabled: bool = False, **binding: Any
) -> IndexedFunction:
    bindings = [{"Type": trigger, "direction": "in", "name": "x", **binding}, {"type": "http", "direction": "out"}]
    return IndexedFunction(name, trigger.lower(), durable_name, bindings, "function_app.py", name, disabled)


FUNCTIONS = [
    function("cook", "orchestrationTrigger", "Cook"),
    function("Hello", "httpTrigger", Route="hello/{name}", Methods=["get", "POST"]),
    function("shop", "activityTrigger", "shop"),
    function("Plain", "httpTrigger"),
    function("Off", "timerTrigger", disabled=True),
    function("AlsoOff", "httpTrigger", route="off"),
    function("Again", "httpTrigger", route="/Hello/{name}", methods=["GET"]),
    function("Queue", "queueTrigger"),
    function("Odd", "sqlTrigger"),
]


def listed(config: HostConfig) -> FunctionList:
    return list_functions(FUNCTIONS, config)


def test_routes_and_mistakes(tmp_path: Path) -> None:
    found = listed(configured(tmp_path, **{"AzureWebJobs.AlsoOff.Disabled": "true"}))
    assert found.routes.match("POST", "/api/hello/you") == ("Hello", {"name": "you"})
    assert found.routes.match("GET", "/api/off") is None
    assert found.mistakes == {"Again": "The route specified conflicts with the route defined by function 'Hello'."}
    assert [f.name for f in found.enabled()] == ["cook", "Hello", "shop", "Plain", "Queue", "Odd"]
    assert [f.name for f in found.not_fired()] == ["Queue", "Odd"]
    assert found.durable_names() == {"orchestration": ("cook",), "activity": ("shop",), "entity": ()}
    assert found.find("HELLO") is FUNCTIONS[1]


def test_printed_list(tmp_path: Path) -> None:
    found = listed(configured(tmp_path, **{"AzureWebJobs.AlsoOff.Disabled": "true"}))
    lines = [text for text, _ in printed_list(found, "http://localhost:7071")]
    assert lines == [
        "",
        "Functions:",
        "",
        "\tHello: [GET,POST] http://localhost:7071/api/hello/{name}",
        "",
        "\tPlain:  http://localhost:7071/api/Plain",
        "",
        "\tcook: orchestrationTrigger",
        "",
        "\tshop: activityTrigger",
        "",
        "\tQueue: queueTrigger",
        "",
        "\tOdd: sqlTrigger",
        "",
        "Function Off is disabled.",
        "Function AlsoOff is disabled.",
    ]


def test_nothing_enabled_has_no_heading(tmp_path: Path) -> None:
    found = list_functions([function("Off", "timerTrigger", disabled=True)], configured(tmp_path))
    assert list(printed_list(found, "http://localhost:7071")) == [("Function Off is disabled.", "yellow")]
