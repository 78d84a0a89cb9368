"""`perdure init` and `perdure new`: files, messages, and that every template compiles, lints clean and indexes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from perdure.cli.init import create_app
from perdure.cli.lint.runner import lint
from perdure.cli.main import main
from perdure.cli.new import Request, add_function, app_model
from perdure.cli.templates.catalog import TEMPLATES, Template, find_template
from perdure.cli.templates.python_source import append_functions
from perdure.host.errors import StartError

SOURCE = Path(__file__).parents[3] / "src"

BY_PUBLISHED = """
import importlib, json
app = importlib.import_module("function_app").app
print(json.dumps({f.get_function_name(): f.get_trigger().get_binding_name() for f in app.get_functions()}))
"""
BY_PERDURE = """
import json, os
import perdure.azure_names
perdure.azure_names.install()
from perdure.host.worker import indexing
root = os.getcwd()
indexing.prepare_paths(root)
app = indexing.load_app(root)
assert not app.errors, app.errors
print(json.dumps({f.indexed.name: f.indexed.trigger for f in app.functions}))
"""


def run_python(root: Path, code: str) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env={"PYTHONPATH": f"{SOURCE}:.", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def make(root: Path, model: str, **options: bool) -> list[str]:
    said: list[str] = []
    create_app(root, said.append, model=model, **options)
    return said


def template(key: str) -> Template:
    return next(one for one in TEMPLATES if one.key == key)


def add(root: Path, key: str, name: str, **options: str) -> list[str]:
    said: list[str] = []
    add_function(root, Request(template(key), name, **options), said.append)
    return said


# -- init


def test_init_writes_an_app_and_says_so(tmp_path: Path) -> None:
    said = make(tmp_path, "V2")
    files = [
        "function_app.py",
        "requirements.txt",
        "host.json",
        "local.settings.json",
        ".gitignore",
        ".funcignore",
        ".vscode/extensions.json",
        ".vscode/launch.json",
        ".vscode/tasks.json",
    ]
    assert said[0].startswith("The new Python programming model is generally available. Learn more at ")
    assert said[1:] == [f"Writing {name}" for name in files]
    assert all((tmp_path / name).is_file() for name in files)
    host = json.loads((tmp_path / "host.json").read_text())
    assert host["version"] == "2.0" and host["extensionBundle"]["version"] == "[4.*, 5.0.0)"
    assert host["logging"]["applicationInsights"]["samplingSettings"]["excludedTypes"] == "Request"
    local = json.loads((tmp_path / "local.settings.json").read_text())
    assert local["IsEncrypted"] is False
    assert local["Values"] == {
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    }
    assert "app = func.FunctionApp()" in (tmp_path / "function_app.py").read_text()
    assert ".perdure" in (tmp_path / ".funcignore").read_text()


def test_launch_json_attaches_where_the_task_starts_the_debugger(tmp_path: Path) -> None:
    make(tmp_path, "V2")
    launch = json.loads((tmp_path / ".vscode" / "launch.json").read_text())["configurations"][0]
    task = json.loads((tmp_path / ".vscode" / "tasks.json").read_text())["tasks"][0]
    assert (launch["type"], launch["request"]) == ("debugpy", "attach")
    assert launch["preLaunchTask"] == task["label"] and task["isBackground"]
    assert task["command"] == f"perdure start --debug {launch['connect']['port']}"


def test_init_keeps_what_exists(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text("mine")
    said = make(tmp_path, "V2")
    assert "host.json already exists. Skipped!" in said
    assert (tmp_path / "host.json").read_text() == "mine"
    assert all("Skipped!" in line for line in make(tmp_path, "V2")[1:])


def test_init_for_v1_and_its_options(tmp_path: Path) -> None:
    said = make(tmp_path / "a", "V1")
    assert "Writing getting_started.md" in said and not (tmp_path / "a" / "function_app.py").exists()
    make(tmp_path / "b", "V1", docs=False, bundle=False)
    assert not (tmp_path / "b" / "getting_started.md").exists()
    assert json.loads((tmp_path / "b" / "host.json").read_text()) == {"version": "2.0"}
    make(tmp_path / "c", "V2", docker_only=True)
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == [".dockerignore", "Dockerfile"]
    dockerfile = (tmp_path / "c" / "Dockerfile").read_text()
    assert dockerfile.startswith(f"FROM python:{sys.version_info.major}.{sys.version_info.minor}-slim\n")
    assert "AzureWebJobsScriptRoot=/home/site/wwwroot" in dockerfile


def test_an_active_environment_inside_the_app_is_ignored_in_deployments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path / "my-env"))
    make(tmp_path, "V2")
    assert (tmp_path / ".funcignore").read_text().splitlines()[-1] == "my-env"


# -- new


def test_every_template_of_the_v2_model_indexes_here_and_with_the_published_package(tmp_path: Path) -> None:
    make(tmp_path, "V2")
    for one in TEMPLATES:
        add(tmp_path, one.key, one.default_name)
    by_perdure = run_python(tmp_path, BY_PERDURE)
    published = run_python(tmp_path, BY_PUBLISHED)
    assert {name: kind.lower() for name, kind in published.items()} == by_perdure
    assert by_perdure["Hello"] == "activitytrigger" and by_perdure["Eternal"] == "orchestrationtrigger"
    assert by_perdure["DurableFunctionsOrchestrator_hello"] == "activitytrigger", "each template runs by itself"
    assert by_perdure["DurableFunctionsEntityPy"] == "entitytrigger" and by_perdure["TimerTrigger"] == "timertrigger"
    out = io.StringIO()
    assert lint([str(tmp_path)], out=out, err=out) == 0, out.getvalue()


def test_every_template_of_the_v1_model_indexes(tmp_path: Path) -> None:
    make(tmp_path, "V1")
    for one in TEMPLATES:
        add(tmp_path, one.key, one.default_name)
    assert app_model(tmp_path) == "V1"
    found = run_python(tmp_path, BY_PERDURE)
    assert sorted(found) == sorted(path.parent.name for path in tmp_path.glob("*/function.json"))
    assert {"Hello", "Chaining", "ChainingStart", "ChainingStep", "FanOutWork", "EternalWork"} <= found.keys()
    out = io.StringIO()
    assert lint([str(tmp_path)], out=out, err=out) == 0, out.getvalue()


@pytest.mark.parametrize("one", TEMPLATES, ids=lambda one: one.key)
def test_each_template_alone_makes_a_valid_module(tmp_path: Path, one: Template) -> None:
    make(tmp_path, "V2")
    said = add(tmp_path, one.key, "thing")
    source = (tmp_path / "function_app.py").read_text()
    compile(source, "function_app.py", "exec")
    assert "$" not in source and "def thing(" in source
    assert said[-1] == f'The function "thing" was created successfully from the "{one.title}" template.'


def test_v1_files_of_an_http_template(tmp_path: Path) -> None:
    make(tmp_path, "V1")
    add(tmp_path, "http", "say-hello", auth_level="anonymous")
    definition = json.loads((tmp_path / "say-hello" / "function.json").read_text())
    assert definition["bindings"][0]["authLevel"] == "anonymous"
    assert definition["bindings"][1]["name"] == "$return"


def test_another_file_is_a_blueprint_and_is_registered(tmp_path: Path) -> None:
    make(tmp_path, "V2")
    add(tmp_path, "http", "first", file="orders.py")
    add(tmp_path, "chaining", "second", file="orders.py", auth_level="anonymous")
    add(tmp_path, "timer", "third")
    found = run_python(tmp_path, BY_PUBLISHED)
    assert set(found) == {"first", "second", "second_start", "second_step", "third"}
    orders = (tmp_path / "orders.py").read_text()
    assert "bp = func.Blueprint()" in orders and "@bp.route(" in orders and "AuthLevel.ANONYMOUS" in orders
    app = (tmp_path / "function_app.py").read_text()
    assert app.count("register_functions") == 1 and "from orders import bp as orders_bp" in app


def test_users_code_stays_as_it_is() -> None:
    source = '"""Mine."""\n# a comment\nimport azure.functions as func\n\nmy_app = func.FunctionApp()  # here\n'
    addition = "import logging\nimport azure.functions as func\n\n@app.route()\ndef f(req):\n    return app\n"
    assert append_functions(source, addition, "my_app") == (
        '"""Mine."""\n# a comment\nimport azure.functions as func\nimport logging\n\n'
        "my_app = func.FunctionApp()  # here\n\n\n@my_app.route()\ndef f(req):\n    return app\n"
    )


def test_durable_templates_list_their_package(tmp_path: Path) -> None:
    make(tmp_path, "V2")
    (tmp_path / "requirements.txt").write_text("azure-functions")
    assert "Appending azure-functions-durable to requirements.txt" in add(tmp_path, "chaining", "a")
    assert (tmp_path / "requirements.txt").read_text() == "azure-functions\nazure-functions-durable\n"
    assert len(add(tmp_path, "chaining", "b")) == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "1st",
            "'1st' is no name for a function: it begins with a letter and goes on with letters, digits, underscores.",
        ),
        (
            "a-b",
            "'a-b' is no name for a function: it begins with a letter and goes on with letters, digits, underscores.",
        ),
        ("ok_start", "Function 'ok_start' exists already in "),
    ],
)
def test_names_that_cannot_be_used(tmp_path: Path, name: str, text: str) -> None:
    make(tmp_path, "V2")
    add(tmp_path, "chaining", "ok")
    before = (tmp_path / "function_app.py").read_text()
    with pytest.raises(StartError) as caught:
        add(tmp_path, "http", name)
    assert str(caught.value).startswith(text)
    assert (tmp_path / "function_app.py").read_text() == before


def test_an_existing_v1_function_is_not_overwritten(tmp_path: Path) -> None:
    make(tmp_path, "V1")
    add(tmp_path, "chaining", "ok")
    with pytest.raises(StartError, match="Function 'okStart' exists already"):
        add(tmp_path, "http", "okStart")


def test_modules_that_nothing_can_be_added_to(tmp_path: Path) -> None:
    make(tmp_path, "V2")
    (tmp_path / "function_app.py").write_text("def broken(:\n")
    with pytest.raises(StartError, match=r"function_app.py, line 1 is not valid Python"):
        add(tmp_path, "http", "a")
    (tmp_path / "function_app.py").write_text("x = 1\n")
    with pytest.raises(StartError, match=r"has no app to add functions to: expected a line such as app ="):
        add(tmp_path, "http", "a")
    with pytest.raises(StartError, match=r"--file 'a-b.py' is no Python module"):
        add(tmp_path, "http", "a", file="a-b.py")


@pytest.mark.parametrize(
    ("wanted", "key"),
    [
        ("http trigger", "http"),
        ("HttpTrigger", "http"),
        ("HTTP", "http"),
        ("TIMER TRIGGER", "timer"),
        ("durable functions HTTP starter", "starter"),
        ("fan-out", "fan_out"),
        ("Durable Functions fan-out/fan-in", "fan_out"),
        ("human-interaction", "human_interaction"),
        ("eternal orchestration", "eternal"),
        ("entity", "entity"),
    ],
)
def test_templates_are_found_in_any_spelling(wanted: str, key: str) -> None:
    found = find_template(wanted)
    assert found is not None and found.key == key


# -- commands


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.chdir(tmp_path)
    assert main(["init", "shop", "--worker-runtime", "python", "-m", "v2", "--no-docs", "--force"]) == 0
    monkeypatch.chdir(tmp_path / "shop")
    assert main(["new", "-t", "durable functions chaining", "-n", "Cook", "-a", "anonymous"]) == 0
    assert main(["function", "create", "--template", "Timer trigger", "--name", "Tick", "-a", "admin"]) == 0
    out = capsys.readouterr().out
    assert 'The function "Cook" was created successfully from the "Durable Functions chaining" template.' in out
    assert "--authlevel has no effect on the template 'Timer trigger'." in out
    assert "def Tick(" in (tmp_path / "shop" / "function_app.py").read_text()


def test_new_in_an_empty_folder_makes_the_app_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.chdir(tmp_path)
    assert main(["new", "--template", "http", "--name", "Hi"]) == 0
    assert "Writing host.json" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["new", "-t", "http"], "Running in non-interactive mode: both --template and --name are needed."),
        (["new", "-t", "Durable Functions chainin", "-n", "x"], "Did you mean 'Durable Functions chaining'?"),
        (["new", "-t", "http", "-n", "x", "-a", "root"], "--authlevel 'root' is unknown: expected one of function,"),
        (["init", "--worker-runtime", "node"], "--worker-runtime 'node' is not supported: perdure runs apps written"),
        (["init", "-m", "V3"], "--model 'V3' is unknown: expected V1 or V2."),
    ],
)
def test_mistakes(
    words: list[str],
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert text in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
