"""Function chaining in three shapes: DFApp, blueprints in sub-folders, plain FunctionApp; every link of the answer."""

from __future__ import annotations

from tests.acceptance.conftest import NewHost
from tests.acceptance.host import TERMINAL, Host, eventually

LINKS = [
    "id",
    "statusQueryGetUri",
    "sendEventPostUri",
    "terminatePostUri",
    "rewindPostUri",
    "purgeHistoryDeleteUri",
    "restartPostUri",
    "suspendPostUri",
    "resumePostUri",
]


def test_a_chain_is_followed_by_its_status_link_to_the_output(new_host: NewHost, sessions: dict[str, str]) -> None:
    host = new_host("chaining", settings=sessions).start()
    answer = host.post("/api/recipes/pasta")
    assert answer.status_code == 202
    links = answer.json()
    assert list(links) == LINKS
    assert answer.headers["location"] == links["statusQueryGetUri"]
    assert answer.headers["retry-after"] == "10"
    assert links["statusQueryGetUri"].startswith(host.url + "/")

    def ended() -> dict[str, object] | None:
        polled = host.get(links["statusQueryGetUri"])
        assert polled.status_code == (200 if polled.json()["runtimeStatus"] in TERMINAL else 202)
        return polled.json() if polled.status_code == 200 else None

    status = eventually(ended)
    assert status["name"] == "cook"
    assert status["runtimeStatus"] == "Completed"
    assert status["input"] == '"pasta"'
    assert status["output"] == [
        "ingredients for pasta",
        "boiled ingredients for pasta",
        "boiled ingredients for pasta, on a plate",
    ]


def test_history_is_shown_when_asked_for(new_host: NewHost) -> None:
    host = new_host("chaining").start()
    links = host.begin("/api/recipes/soup")
    host.completed(links["id"])
    assert "historyEvents" not in host.get(links["statusQueryGetUri"]).json()
    events = host.get(links["statusQueryGetUri"] + "&showHistory=true&showHistoryOutput=true").json()["historyEvents"]
    assert [event["EventType"] for event in events] == [
        "ExecutionStarted",
        "TaskCompleted",
        "TaskCompleted",
        "TaskCompleted",
        "ExecutionCompleted",
    ]
    assert [event["FunctionName"] for event in events[1:4]] == ["shop", "boil", "serve"]
    assert events[1]["Result"] == "ingredients for soup"


def test_purge_and_restart_links(new_host: NewHost) -> None:
    host = new_host("chaining").start()
    links = host.begin("/api/recipes/rice")
    output = host.completed(links["id"])
    again = host.post(links["restartPostUri"])
    assert again.status_code in (200, 202), again.text
    new_id = again.json()["id"]
    assert new_id != links["id"]
    assert host.completed(new_id) == output
    assert host.delete(links["purgeHistoryDeleteUri"]).json() == {"instancesDeleted": 1}
    assert host.get(links["statusQueryGetUri"]).status_code == 404
    assert host.delete(links["purgeHistoryDeleteUri"]).status_code == 404


def test_blueprints_in_sub_folders(new_host: NewHost, sessions: dict[str, str]) -> None:
    host = new_host("blueprints", settings=sessions).start()
    links = host.begin("/api/orders", {"items": ["apple", "bread"], "to": "Ada"})
    assert host.completed(links["id"]) == {
        "reserved": ["apple from shelf A", "bread from shelf B"],
        "label": "2 parcels to Ada",
    }


def test_durable_decorators_on_a_plain_function_app(new_host: NewHost, sessions: dict[str, str]) -> None:
    host = new_host("plain_function_app", settings=sessions).start()
    links = host.begin("/api/translations", ["one", "two"])
    assert host.completed(links["id"]) == {"one": "eno", "two": "owt"}
    eventually(lambda: f"translating 2 words as {links['id']}" in host.log())


def test_functions_are_listed_with_their_urls(new_host: NewHost) -> None:
    host = new_host("chaining").start()
    listed = _function_list(host)
    assert f"start_recipe: [POST] http://localhost:{host.port}/api/recipes/{{dish}}" in listed
    assert "cook: orchestrationTrigger" in listed
    assert "boil: activityTrigger" in listed
    assert listed[0].startswith("start_recipe: "), "HTTP functions come first"


def _function_list(host: Host) -> list[str]:
    eventually(lambda: "Host started" in host.log())
    lines = host.log().splitlines()
    return [line.strip() for line in lines[lines.index("Functions:") + 1 :] if line.startswith("\t")]
