"""What the folder of an app may hold: settings, its own packages, sub-packages; and starting a host on it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.acceptance.conftest import NewHost
from tests.acceptance.host import EXAMPLES, eventually

CODE = """
import os

import azure.functions as func
import carried
from parts.inner import deep
from sibling import near

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="look")
def look(req: func.HttpRequest) -> func.HttpResponse:
    said = [carried.NAME, deep(), near(), os.environ["GREETING"], os.environ.get("FROM_OUTSIDE", "")]
    return func.HttpResponse("|".join(said))


@app.orchestration_trigger(context_name="context")
def together(context):
    return (yield context.call_activity("greet", "Ada"))


@app.activity_trigger(input_name="name")
async def greet(name: str) -> str:
    return f"{os.environ['GREETING']} {name}"
"""


def make_app(folder: Path) -> Path:
    files = {
        "host.json": json.dumps(
            {
                "version": "2.0",
                "extensions": {"durableTask": {"hubName": "%HUB%", "storageProvider": {"type": "mssql"}}},
            }
        ),
        "local.settings.json": json.dumps(
            {"IsEncrypted": False, "Values": {"HUB": "SpringHub", "GREETING": "Good day", "FROM_OUTSIDE": "file"}}
        ),
        "function_app.py": CODE,
        "sibling.py": "def near():\n    return 'near'\n",
        "parts/__init__.py": "",
        "parts/inner.py": "from . import words\n\n\ndef deep():\n    return words.DEEP\n",
        "parts/words.py": "DEEP = 'deep'\n",
        ".python_packages/lib/site-packages/carried/__init__.py": "NAME = 'carried'\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_packages_settings_and_hub_of_an_app(new_host: NewHost, tmp_path: Path) -> None:
    host = new_host(make_app(tmp_path / "app"), settings={"FROM_OUTSIDE": "environment"}).start()
    assert host.get("/api/look").text == "carried|deep|near|Good day|environment"
    eventually(lambda: "Skipping 'FROM_OUTSIDE' from local settings as it's already defined" in host.log())
    host.begin_webhook("together", None, "one")
    assert host.completed("one") == "Good day Ada"
    assert (host.app / ".perdure" / "SpringHub.db").exists()
    told = [line for line in host.log().splitlines() if "SpringHub.db" in line]
    assert any("is not used: state is kept in" in line for line in told), host.log()


def test_another_folder_and_another_store(new_host: NewHost, tmp_path: Path) -> None:
    empty = tmp_path / "elsewhere"
    empty.mkdir()
    store = tmp_path / "kept" / "state.db"
    settings = {"PERDURE_STORE": f"sqlite:///{store}"}
    host = new_host(empty, settings=settings, args=("--script-root", str(EXAMPLES / "chaining"))).start()
    links = host.begin("/api/recipes/stew")
    output = host.completed(links["id"])
    assert store.exists()
    assert not list((EXAMPLES / "chaining" / ".perdure").glob("*.db*"))
    host.kill()
    host.start()
    assert host.completed(links["id"]) == output


def test_a_store_in_memory_forgets(new_host: NewHost) -> None:
    host = new_host("chaining", settings={"PERDURE_STORE": "memory:"}).start()
    links = host.begin("/api/recipes/tea")
    host.completed(links["id"])
    host.stop()
    assert not list((host.app / ".perdure").glob("*.db*"))
    host.start()
    assert host.status(links["id"]) is None


def test_an_override_in_the_environment_wins(new_host: NewHost) -> None:
    settings = {"AzureFunctionsJobHost__extensions__durableTask__hubName": "AutumnHub"}
    host = new_host("chaining", settings=settings).start()
    host.completed(host.begin("/api/recipes/tea")["id"])
    eventually(lambda: (host.app / ".perdure" / "AutumnHub.db").exists())


def test_two_hosts_on_one_folder_do_not_disturb_each_other(new_host: NewHost, tmp_path: Path) -> None:
    settings = {"PERDURE_STORE": f"sqlite:///{tmp_path / 'shared.db'}"}
    first = new_host("chaining", settings=settings).start()
    second = new_host("chaining", settings=settings).start()
    ids = [host.begin(f"/api/recipes/d{n}")["id"] for n, host in enumerate([first, second] * 5)]
    for instance in ids:
        assert first.completed(instance) == second.completed(instance)


MOVING = """
import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.orchestration_trigger(context_name="context")
def moving(context):
    yield context.wait_for_external_event("go")
    later, sooner = context.call_activity("note", "later"), context.call_activity("note", "sooner")
    yield sooner
    yield later
    return context.version


@app.activity_trigger(input_name="word")
def note(word: str) -> str:
    return word
"""


def test_an_instance_goes_on_in_the_dialect_that_it_began_in(new_host: NewHost, tmp_path: Path) -> None:
    app = tmp_path / "moving"
    app.mkdir()
    (app / "host.json").write_text('{"version": "2.0"}')
    (app / "function_app.py").write_text(MOVING)
    (app / "requirements.txt").write_text("azure-functions-durable<2\n")
    host = new_host(app).start()
    links = host.begin_webhook("moving", None, "old")
    eventually(lambda: "Executed 'Functions.moving'" in host.log())
    host.stop()
    (host.app / "requirements.txt").write_text("azure-functions-durable>=2\n")
    host.start()
    newer = host.begin_webhook("moving", None, "new")
    for begun in (links, newer):
        host.post(begun["sendEventPostUri"].replace("{eventName}", "go"), {})
    # 1.x: no version is the empty text; 2.0: it is None
    assert [host.completed("old"), host.completed("new")] == ["", None]
