"""Loading apps of both models, in a process of its own each (imports are for ever)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import json, sys
from perdure import azure_names
azure_names.install()
from perdure.host.worker.indexing import load_app, prepare_paths, fingerprint
root, only = sys.argv[1], sys.argv[2:]
prepare_paths(root)
app = load_app(root, only)
sys.stdout.write("\\n" + json.dumps({
    "model": app.programming_model,
    "functions": {f.indexed.name: {
        "trigger": f.indexed.trigger, "durable": f.indexed.durable_name, "async": f.indexed.is_async,
        "disabled": f.indexed.disabled, "parameters": f.indexed.parameters, "location": f.indexed.location,
        "bindings": f.indexed.bindings, "module": f.call.__module__} for f in app.functions},
    "errors": [[e.function, e.text, e.fatal] for e in app.errors],
    "warnings": app.warnings,
    "fingerprint": fingerprint(root),
}))
"""


def load(root: Path, *only: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(root), *only], capture_output=True, text=True, timeout=60, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def function_json(kind: str = "activityTrigger", name: str = "name", **more: Any) -> str:
    return json.dumps({"bindings": [{"name": name, "type": kind, "direction": "in"}], **more})


BLUEPRINT = """
import azure.functions as func, azure.durable_functions as df
bp = df.Blueprint()
@bp.orchestration_trigger(context_name="context", orchestration="Renamed")
def orchestrate(context):
    yield context.call_activity("say", 1)
@bp.activity_trigger(input_name="text")
async def say(text): return text
"""


def test_decorators_blueprints_and_other_triggers(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "parts/one/bp_one.py": BLUEPRINT,
            "function_app.py": """
import azure.functions as func
from parts.one.bp_one import bp
from vendored import VALUE
app = func.FunctionApp()
app.register_functions(bp)
@app.route(route="x/{id}", methods=["GET"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client): pass
@app.timer_trigger(arg_name="timer", schedule="0 * * * * *")
def tick(timer): pass
@app.queue_trigger(arg_name="m", queue_name="q", connection="C")
@app.queue_output(arg_name="$return", queue_name="r", connection="C")
def queued(m): pass
@app.generic_trigger(arg_name="z", type="zebraTrigger", extra=1)
def zebra(z): pass
""",
            ".python_packages/lib/site-packages/vendored.py": "VALUE = 1",
        },
    )
    got = load(tmp_path)
    assert got["errors"] == [] and got["warnings"] == [] and got["model"] == "v2"
    functions = got["functions"]
    assert {name: f["trigger"] for name, f in functions.items()} == {
        "orchestrate": "orchestrationtrigger",
        "say": "activitytrigger",
        "start": "httptrigger",
        "tick": "timertrigger",
        "queued": "queuetrigger",
        "zebra": "zebratrigger",
    }
    assert functions["orchestrate"]["durable"] == "Renamed"
    assert functions["say"]["async"] and not functions["tick"]["async"] and functions["start"]["async"]
    assert functions["orchestrate"]["location"] == f"{tmp_path}/parts/one/bp_one.py:4"
    route = next(b for b in functions["start"]["bindings"] if b["type"] == "httpTrigger")
    assert (route["route"], route["methods"], route["direction"]) == ("x/{id}", ["GET"], "IN")
    write(tmp_path, {"parts/one/bp_one.py": BLUEPRINT + "# changed\n"})
    assert load(tmp_path)["fingerprint"] != got["fingerprint"]


def test_functions_setting(tmp_path: Path) -> None:
    write(tmp_path, {"function_app.py": BLUEPRINT + "app = df.DFApp()\napp.register_functions(bp)\n"})
    got = load(tmp_path, "SAY", "nope")
    assert list(got["functions"]) == ["say"]
    assert got["warnings"] == ["--functions: the app has no function 'nope'."]


def test_script_of_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_SCRIPT_FILE_NAME", "main_app.py")
    write(tmp_path, {"main_app.py": BLUEPRINT + "app = df.DFApp()\napp.register_functions(bp)\n"})
    assert load(tmp_path)["functions"]["say"]["module"] == "main_app"


def test_folders(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "shared_code/__init__.py": "",
            "shared_code/tools.py": "NAME = 'tools'",
            "with-hyphen/function.json": function_json(),
            "with-hyphen/__init__.py": """
import logging
from . import helper
from ..shared_code.tools import NAME
from __app__.shared_code import tools as again
import shared_code.tools
async def main(name): return helper.X + NAME + again.NAME
""",
            "with-hyphen/helper.py": "X = 1",
            "Orchestrate/function.json": json.dumps(
                {
                    "scriptFile": "__init__.py",
                    "Bindings": [
                        {"name": "context", "Type": "OrchestrationTrigger", "direction": "in", "Orchestration": "Other"}
                    ],
                }
            ),
            "Orchestrate/__init__.py": "import azure.durable_functions as df\ndef f(context):\n    yield 1\n"
            "main = df.Orchestrator.create(f)\n",
            "EntryPoint/function.json": function_json(scriptFile="code.py", entryPoint="go", disabled=True),
            "EntryPoint/code.py": "def go(name): pass",
            "Outside/function.json": function_json(scriptFile="../common.py"),
            "common.py": "def main(name): pass",
            "Nothing/readme.txt": "",
            "Bom/function.json": "\ufeff" + function_json("eventHubTrigger"),
            "Bom/__init__.py": "def main(name): pass",
        },
    )
    got = load(tmp_path)
    functions = got["functions"]
    assert got["errors"] == [] and got["model"] == "v1"
    assert {name: f["module"] for name, f in functions.items()} == {
        "with-hyphen": "__app__.with-hyphen",
        "Orchestrate": functions["Orchestrate"]["module"],
        "EntryPoint": "__app__.EntryPoint.code",
        "Outside": "__app__.common",
        "Bom": "__app__.Bom",
    }
    assert functions["Orchestrate"]["durable"] == "Other"
    assert functions["Orchestrate"]["location"] == f"{tmp_path}/Orchestrate/__init__.py:2"
    assert functions["EntryPoint"]["disabled"] and functions["with-hyphen"]["async"]


def test_one_bad_folder_does_not_stop_the_others(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "requirements.txt": "some_lib>=1\npyyaml-not-really\n",
            "Good/function.json": function_json(),
            "Good/__init__.py": "def main(name): pass",
            "Raises/function.json": function_json(),
            "Raises/__init__.py": "def deep():\n    raise RuntimeError('no luck')\ndeep()\n",
            "Syntax/function.json": function_json(),
            "Syntax/__init__.py": "x = 1\ndef main(name:\n    pass\n",
            "Missing/function.json": function_json(),
            "Missing/__init__.py": "import some_lib.part\n",
            "Exits/function.json": function_json(),
            "Exits/__init__.py": "import sys\nsys.exit(3)\n",
            "NoMain/function.json": function_json(),
            "NoMain/__init__.py": "def other(name): pass",
            "NoJson/function.json": "{'bindings': []}",
            "NoTrigger/function.json": json.dumps({"bindings": [{"name": "x", "type": "http", "direction": "out"}]}),
            "NoTrigger/__init__.py": "def main(name): pass",
            "Raw/function.json": function_json("orchestrationTrigger", "context"),
            "Raw/__init__.py": "def main(context):\n    yield 1\n",
        },
    )
    got = load(tmp_path)
    assert list(got["functions"]) == ["Good"]
    errors = {function: text for function, text, fatal in got["errors"] if not fatal}
    assert len(errors) == 8 and all("perdure" not in text.replace(str(tmp_path), "") for text in errors.values())
    # from Python 3.13 on, a line of marks stands under each line of code
    assert re.sub(r"\n[ ~^]+(?=\n)", "", errors["Raises"]) == (
        f"Function Raises could not be imported ({tmp_path}/Raises/__init__.py:2):\n"
        "Traceback (most recent call last):\n"
        f'  File "{tmp_path}/Raises/__init__.py", line 3, in <module>\n    deep()\n'
        f"  File \"{tmp_path}/Raises/__init__.py\", line 2, in deep\n    raise RuntimeError('no luck')\n"
        "RuntimeError: no luck"
    )
    assert f"({tmp_path}/Syntax/__init__.py:2)" in errors["Syntax"] and "SyntaxError" in errors["Syntax"]
    assert errors["Missing"].endswith(f"some-lib is not installed in {sys.prefix}: pip install -r requirements.txt")
    assert errors["Exits"].endswith("SystemExit: 3")
    assert "defines no function main" in errors["NoMain"]
    assert errors["NoJson"].startswith("Function NoJson: NoJson/function.json:1:2 is not valid JSON")
    assert "has no trigger among its bindings" in errors["NoTrigger"]
    assert errors["Raw"].endswith(
        "has an orchestration trigger, but its entry point is no orchestrator function: "
        "write main = df.Orchestrator.create(your_function)."
    )


def test_function_app_wins_over_folders(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "function_app.py": BLUEPRINT + "app = df.DFApp()\napp.register_functions(bp)\n",
            "Old/function.json": function_json(),
            "Old/__init__.py": "raise SystemExit",
        },
    )
    got = load(tmp_path)
    assert list(got["functions"]) == ["orchestrate", "say"]
    assert got["warnings"] == [
        "function_app.py was found beside folders with function.json: only the functions of function_app.py are "
        "loaded. Not loaded: Old. Remove function_app.py to run the folders."
    ]


def test_nothing_to_load(tmp_path: Path) -> None:
    assert load(tmp_path)["warnings"] == [
        f"No job functions found in {tmp_path}: expected function_app.py with a function app (v2 model) "
        "or folders with a function.json (v1 model)."
    ]


def test_a_function_app_without_functions_says_so(tmp_path: Path) -> None:
    write(tmp_path, {"function_app.py": BLUEPRINT + "app = df.DFApp()\n"})
    got = load(tmp_path)
    assert (got["functions"], got["errors"]) == ({}, [])
    assert got["warnings"] == [
        "No job functions found: the function app of function_app.py has none. Decorate functions with it, or register "
        "the blueprints that hold them."
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = (", "({root}/function_app.py:1)"),
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("1/0", 'File "{root}/function_app.py", line 1, in <module>'),
        ("x = 1", "function_app.py has no function app at module level; expected one"),
        (
            "import azure.functions as f\na = f.FunctionApp()\nb = f.FunctionApp()",
            "function_app.py has 2 function apps at module level",
        ),
        (
            "import azure.functions as f\na = f.FunctionApp()\n@a.route('x')\ndef one(req): pass\n"
            "@a.route('y')\n@a.function_name('one')\ndef two(req): pass",
            "Function one does not have a unique function name: it is defined at {root}/function_app.py:3 "
            "and at {root}/function_app.py:5. Rename one of them",
        ),
        (
            "import azure.durable_functions as f\na = f.DFApp()\n@a.activity_trigger('x', activity='Say')\n"
            "def one(x): pass\n@a.activity_trigger('x')\ndef say(x): pass",
            "Functions one ({root}/function_app.py:3) and say ({root}/function_app.py:5) have the same activity name",
        ),
        (
            "import azure.functions as f\na = f.FunctionApp()\n@a.queue_output('o', 'q', 'c')\ndef one(o): pass",
            "Function one does not have a trigger",
        ),
    ],
)
def test_what_stops_an_app(tmp_path: Path, text: str, expected: str) -> None:
    write(tmp_path, {"function_app.py": text})
    [[_, message, fatal]] = load(tmp_path)["errors"]
    assert fatal and expected.format(root=tmp_path) in message, message
    assert "site-packages" not in message and "importlib" not in message


def test_folders_of_an_app_hide_no_module_of_the_standard_library(tmp_path: Path) -> None:
    main = (
        "import email, statistics, wave\nfrom ..statistics import VALUE\n"
        "wave.open, email.message_from_string, statistics.mean\ndef main(name): return VALUE\n"
    )
    write(
        tmp_path,
        {
            "wave/function.json": function_json(),
            "wave/__init__.py": main,
            "statistics/__init__.py": "VALUE = 1",
            "email/function.json": function_json(),
            "email/__init__.py": "from wave import open\ndef main(name): ...",
        },
    )
    found = load(tmp_path)
    assert found["errors"] == []
    assert set(found["functions"]) == {"wave", "email"}
