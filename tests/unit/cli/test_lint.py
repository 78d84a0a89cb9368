"""`perdure lint`: what is reported where, what is not, output and exit codes."""

from __future__ import annotations

import io
import json
import textwrap
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from perdure.cli.lint.checks import check_source
from perdure.cli.lint.command import lint_command
from perdure.cli.lint.rules import TITLES
from perdure.cli.lint.runner import lint

HEAD = """\
import asyncio, os, random, secrets, threading, time, uuid
import datetime as dt
import requests, httpx, socket, urllib.request
import numpy as np
from datetime import datetime, timedelta, date
from os import environ, getenv
from pathlib import Path
from random import randint as roll
from concurrent.futures import ThreadPoolExecutor
import azure.functions as func
import azure.durable_functions as df
app = df.DFApp()
CACHE = {}
COUNT = 0
CONSTANT = 5
"""


def check(body: str, head: str = HEAD) -> list[tuple[int, str]]:
    """(line of the body, code) of the findings in `body` below the imports."""
    source = head + textwrap.dedent(body)
    skip = head.count("\n")
    return [(finding.line - skip, finding.code) for finding in check_source("app.py", source)]


def in_orchestrator(statement: str) -> list[str]:
    lines = textwrap.indent(textwrap.dedent(statement), "    ")
    head = '@app.orchestration_trigger(context_name="context")\ndef orch(context):\n'
    body = f"{head}{lines}\n    yield context.task_all([])\n"
    return [code for _, code in check(body)]


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("x = datetime.now()", "PD101"),
        ("x = datetime.utcnow()", "PD101"),
        ("x = dt.datetime.now(dt.timezone.utc)", "PD101"),
        ("x = date.today()", "PD101"),
        ("x = time.time()", "PD101"),
        ("x = time.monotonic_ns()", "PD101"),
        ("x = time.localtime()", "PD101"),
        ("clock = datetime.now", "PD101"),
        ("x = random.random()", "PD102"),
        ("x = random.choice([1, 2])", "PD102"),
        ("x = roll(1, 6)", "PD102"),
        ("x = random.Random()", "PD102"),
        ("x = sorted([1], key=random.random)", "PD102"),
        ("x = np.random.rand(3)", "PD102"),
        ("x = uuid.uuid1()", "PD102"),
        ("x = str(uuid.uuid4())", "PD102"),
        ("x = os.urandom(8)", "PD102"),
        ("x = secrets.token_hex()", "PD102"),
        ("time.sleep(1)", "PD103"),
        ("asyncio.sleep(1)", "PD103"),
        ("x = asyncio.gather()", "PD104"),
        ("asyncio.run(None)", "PD104"),
        ("x = requests.get('http://x')", "PD105"),
        ("x = requests.Session()", "PD105"),
        ("x = httpx.post('http://x')", "PD105"),
        ("x = urllib.request.urlopen('http://x')", "PD105"),
        ("x = socket.create_connection(('x', 1))", "PD105"),
        ("x = open('file').read()", "PD105"),
        ("with open('file') as f:\n    pass", "PD105"),
        ("x = os.listdir('.')", "PD105"),
        ("x = Path('a').read_text()", "PD105"),
        ("x = (Path('a') / 'b').exists()", "PD105"),
        ("x = os.environ['X']", "PD106"),
        ("x = os.environ.get('X')", "PD106"),
        ("x = environ['X']", "PD106"),
        ("x = os.getenv('X')", "PD106"),
        ("x = getenv('X')", "PD106"),
        ("global COUNT\nCOUNT += 1", "PD107"),
        ("CACHE['a'] = 1", "PD107"),
        ("CACHE['a']['b'] = 1", "PD107"),
        ("del CACHE['a']", "PD107"),
        ("CACHE.update(a=1)", "PD107"),
        ("threading.Thread(target=print).start()", "PD108"),
        ("x = ThreadPoolExecutor()", "PD108"),
        ("x = asyncio.to_thread(print)", "PD108"),
        ("context.call_activity('A')", "PD201"),
        ("context.create_timer(context.current_utc_datetime)", "PD201"),
        ("context.wait_for_external_event('E')", "PD201"),
        ("task = context.call_activity('A')", "PD201"),
        ("tasks = [context.call_activity('A') for _ in range(3)]", "PD201"),
        ("[context.call_activity('A'), 5]", "PD201"),
        ("if True:\n    context.call_http('GET', 'http://x')", "PD201"),
        ("return context.call_activity('A')", "PD201"),
        ("yield 5", "PD202"),
        ("yield", "PD202"),
        ("yield None", "PD202"),
        ("yield [context.call_activity('A')]", "PD202"),
        ("yield [context.call_activity('A') for _ in range(2)]", "PD202"),
        ("yield 'a' + 'b'", "PD202"),
        ("yield context.set_custom_status('x')", "PD202"),
    ],
)
def test_each_mistake_is_reported_once(statement: str, code: str) -> None:
    assert in_orchestrator(statement) == [code]


@pytest.mark.parametrize(
    "statement",
    [
        "x = context.current_utc_datetime + timedelta(seconds=1)",
        "x = datetime(2024, 1, 1)",
        "x = datetime.fromisoformat('2024-01-01')",
        "x = time.strftime('%Y', time.gmtime(0))",
        "x = random.Random(context.instance_id).random()",
        "x = uuid.uuid5(uuid.NAMESPACE_DNS, 'x')",
        "x = uuid.UUID(context.new_uuid())",
        "x = os.path.join('a', 'b')",
        "x = Path('a') / 'b'",
        "x = CACHE.get('a')",
        "x = CONSTANT",
        "try:\n    pass\nexcept requests.exceptions.HTTPError:\n    pass",
        "raise requests.HTTPError('x')",
        "time = context.get_input()\ntime.sleep(1)",
        "yield context.call_activity('A')",
        "task = context.call_activity('A')\nyield task",
        "tasks = [context.call_activity('A')]\nyield context.task_all(tasks)",
        "tasks = []\nfor _ in range(3):\n    tasks.append(context.call_activity('A'))\nyield context.task_any(tasks)",
        "context.signal_entity(df.EntityId('a', 'b'), 'add')",
        "context.continue_as_new(None)",
        "context.set_custom_status('x')",
        "x = yield context.task_any([context.create_timer(context.current_utc_datetime)])",
        "print('hello')",
        "return 1\nyield",
        "raise ValueError\nyield",
        "if False:\n    yield",
    ],
)
def test_what_is_right_is_not_reported(statement: str) -> None:
    assert in_orchestrator(statement) == []


def test_only_orchestrators_are_checked() -> None:
    assert (
        check(
            """\
            @app.activity_trigger(input_name="name")
            def hello(name):
                return datetime.now(), os.environ["X"], requests.get(name)

            @app.route(route="start")
            async def start(req):
                time.sleep(1)

            def unused():
                random.random()
            """
        )
        == []
    )


def test_orchestrators_of_both_models_are_found() -> None:
    v1 = """\
        def orchestrator_function(context):
            yield context.call_activity("A")
            return uuid.uuid4()

        main = df.Orchestrator.create(orchestrator_function)
        """
    assert check(v1) == [(3, "PD102")]
    blueprint = """\
        bp = df.Blueprint()

        @bp.function_name("x")
        @bp.orchestration_trigger(context_name="context", orchestration="Other")
        def orch(context):
            time.sleep(1)
            yield context.call_activity("A")

        def register(app):
            @app.orchestration_trigger(context_name="context")
            def inner(context):
                time.sleep(1)
                yield context.call_activity("A")
        """
    assert check(blueprint) == [(6, "PD103"), (12, "PD103")]
    decorator = """\
        from azure.durable_functions import Orchestrator

        @Orchestrator.create
        def main(context):
            yield 1
        """
    assert check(decorator) == [(5, "PD202")]


def test_helpers_of_the_module_are_followed_and_name_their_orchestrator() -> None:
    source = HEAD + textwrap.dedent(
        """\
        def stamp():
            return datetime.now()

        def deeper(context):
            context.call_activity("Lost")
            yield context.call_activity(stamp())

        def helper(context):
            yield from deeper(context)

        @app.orchestration_trigger(context_name="context")
        def orch(context):
            yield from helper(context)
        """
    )
    findings = check_source("app.py", source)
    assert [finding.code for finding in findings] == ["PD101", "PD201"]
    assert findings[0].message == (
        "`datetime.datetime.now()` reads the clock; use `context.current_utc_datetime` (called by orchestrator `orch`)"
    )


def test_helpers_passed_by_name_are_followed() -> None:
    body = """\
        def key(value):
            return random.random()

        @app.orchestration_trigger(context_name="context")
        def orch(context):
            values = yield context.call_activity("A")
            return sorted(values, key=key)
        """
    assert check(body) == [(2, "PD102")]


def test_ordinary_generators_may_yield_what_they_like() -> None:
    body = """\
        def chunks(values):
            for n in range(0, len(values), 10):
                yield values[n], [n], n + 1
                yield [n]

        @app.orchestration_trigger(context_name="context")
        def orch(context):
            for chunk in chunks(context.get_input()):
                yield context.call_activity("A", chunk)
        """
    assert check(body) == []


def test_a_generator_helper_needs_yield_from() -> None:
    body = """\
        def helper(context):
            yield context.call_activity("A")

        @app.orchestration_trigger(context_name="context")
        def orch(context):
            yield helper(context)
            helper(context)
            yield from helper(context)
        """
    assert check(body) == [(6, "PD204"), (7, "PD204")]


def test_durable_functions_called_directly() -> None:
    source = HEAD + textwrap.dedent(
        """\
        @app.activity_trigger(input_name="name")
        def hello(name):
            return name

        @app.orchestration_trigger(context_name="context")
        def child(context):
            yield context.call_activity(hello, "x")

        @app.orchestration_trigger(context_name="context")
        def orch(context):
            a = hello("x")
            yield hello("x")
            yield from child(context)
        """
    )
    findings = check_source("app.py", source)
    assert [finding.code for finding in findings] == ["PD203"] * 3
    assert findings[0].message == (
        "`hello` is an activity function and is called directly, so nothing is recorded; "
        "use `yield context.call_activity(...)`"
    )


def test_async_orchestrators() -> None:
    body = """\
        async def helper(context):
            await asyncio.sleep(1)

        @app.orchestration_trigger(context_name="context")
        async def orch(context):
            await helper(context)
            helper(context)
            context.call_activity("A")
            result = await context.call_activity("A")
            await asyncio.gather(context.call_activity("A"))
            return result
        """
    assert check(body) == [(2, "PD103"), (7, "PD204"), (8, "PD201"), (10, "PD104")]


def test_shapes_that_are_no_orchestrators() -> None:
    body = """\
        @app.orchestration_trigger(context_name="context")
        async def generator(context):
            yield context.call_activity("A")

        @app.orchestration_trigger(context_name="context")
        def none():
            return 1

        @app.orchestration_trigger(context_name="context")
        def three(context, a, b):
            return 1

        @app.orchestration_trigger(context_name="context")
        def two(context, value):
            return value
        """
    assert check(body) == [(2, "PD205"), (6, "PD206"), (10, "PD206")]


def test_reads_of_globals_that_others_rebind() -> None:
    body = """\
        def set_count():
            global COUNT
            COUNT = 7

        @app.orchestration_trigger(context_name="context")
        def orch(context):
            yield context.call_activity("A", COUNT)
        """
    assert check(body) == [(7, "PD107")]


def test_noqa_silences_its_line() -> None:
    body = """\
        @app.orchestration_trigger(context_name="context")
        def orch(context):
            a = datetime.now()  # noqa: PD101
            b = datetime.now()  # noqa
            c = datetime.now()  # noqa: PD102, E501
            d = datetime.now(), random.random()  # noqa: PD101,PD102
            e = "# noqa", datetime.now()
            yield context.call_activity("A", [a, b, c, d, e])
        """
    assert check(body) == [(5, "PD101"), (7, "PD101")]


def test_columns_count_characters() -> None:
    head = '@app.orchestration_trigger(context_name="c")\ndef orch(c):\n'
    body = '    x = "äöü", datetime.now()\n    yield c.task_all([x])\n'
    finding = check_source("app.py", HEAD + head + body)[0]
    assert (finding.line, finding.column, finding.end_column) == (18, 16, 30)


def run(*paths: str, **options: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = lint(paths or (".",), out=out, err=err, **options)  # type: ignore[arg-type]
    return code, out.getvalue(), err.getvalue()


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    source = HEAD + (
        '@app.orchestration_trigger(context_name="context")\ndef orch(context):\n'
        "    time.sleep(1)\n    return uuid.uuid4()\n"
    )
    (tmp_path / "function_app.py").write_text(source)
    for folder in (".venv", "__pycache__", "env"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "other.py").write_text(source)
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    return tmp_path


def test_text_output_and_exit_code(app: Path) -> None:
    code, out, err = run()
    assert (code, err) == (1, "")
    assert out == (
        "function_app.py:18:5: PD103 `time.sleep()` blocks the orchestrator and is not durable; "
        "use `yield context.create_timer(context.current_utc_datetime + timedelta(...))`\n"
        "function_app.py:19:12: PD102 `uuid.uuid4()` gives a random value; "
        "draw it in an activity, or use `context.new_uuid()` or `context.new_guid()` for an id\n"
        "Found 2 errors.\n"
    )


def test_clean_files_exit_with_zero(app: Path) -> None:
    (app / "function_app.py").write_text("import time\ntime.sleep(0)\n")
    assert run() == (0, "All checks passed!\n", "")


def test_json_output(app: Path) -> None:
    code, out, _ = run("function_app.py", output_format="json")
    findings = json.loads(out)
    assert code == 1 and [finding["code"] for finding in findings] == ["PD103", "PD102"]
    assert findings[0]["filename"] == "function_app.py"
    assert findings[0]["location"] == {"row": 18, "column": 5}
    assert findings[0]["end_location"] == {"row": 18, "column": 18}
    (app / "function_app.py").write_text("")
    assert run(output_format="json") == (0, "[]\n", "")


def test_select_and_ignore(app: Path) -> None:
    assert run(select=["PD102"])[1].count("PD") == 1
    assert run(ignore=["PD1"])[0] == 0
    assert run(select=["XX9"])[::2] == (
        2,
        "error: unknown rule 'XX9': expected one of " + ", ".join(TITLES) + ", or how they begin\n",
    )


def test_usage_errors(app: Path) -> None:
    assert run("nowhere.py") == (2, "", "error: no such file or folder: nowhere.py\n")
    assert run(output_format="xml") == (2, "", "error: unknown output format 'xml': expected text or json\n")


def test_a_file_that_does_not_parse_is_a_finding(app: Path) -> None:
    (app / "function_app.py").write_text("def f(:\n")
    code, out, _ = run()
    assert code == 1 and out.startswith("function_app.py:1:7: PD001 not valid Python: ")
    (app / "function_app.py").write_bytes(b"x = '\xff'\n")
    assert run()[1].startswith("function_app.py:1:1: PD001 not valid Python: ")


def test_command(app: Path) -> None:
    cli = typer.Typer()
    cli.command("lint")(lint_command)
    result = CliRunner().invoke(cli, ["function_app.py", "--output-format", "json", "--select", "pd103"])
    assert result.exit_code == 1
    assert [finding["code"] for finding in json.loads(result.stdout)] == ["PD103"]
    assert CliRunner().invoke(cli, ["--ignore", "PD"]).exit_code == 0
    assert CliRunner().invoke(cli, ["nowhere"]).exit_code == 2


def test_the_reference_lists_every_rule() -> None:
    text = (Path(__file__).parents[3] / "docs" / "reference" / "lint.md").read_text()
    listed = [
        tuple(cell.strip() for cell in line.split("|")[1:3]) for line in text.splitlines() if line.startswith("| PD")
    ]
    assert listed == list(TITLES.items())
