"""What users read when something is wrong, word by word: start-up, store, and mistakes in orchestrators."""

from __future__ import annotations

import json
import socket
import sqlite3
import textwrap
from pathlib import Path

from tests.acceptance.conftest import NewHost
from tests.acceptance.host import WEBHOOK, Host, eventually

APP = """
    import azure.durable_functions as df
    import azure.functions as func

    app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
"""


def write_app(folder: Path, code: str) -> Path:
    folder.mkdir()
    (folder / "host.json").write_text('{"version": "2.0"}')
    (folder / "function_app.py").write_text(textwrap.dedent(APP) + textwrap.dedent(code))
    return folder


def refused(host: Host) -> str:
    """What a host prints that cannot start; it ends with 1 and shows no frame of ours."""
    assert host.spawn().wait(30) == 1, host.log()
    said = host.log()
    assert "site-packages/perdure" not in said
    assert "src/perdure" not in said
    return said


# ---- the app


def test_missing_host_json(new_host: NewHost, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    host = new_host(tmp_path / "empty")
    said = refused(host)
    assert "Traceback" not in said
    assert (
        f"Host.json file is missing. Please make sure host.json file is present at {host.app}. (Run this in the "
        "folder of your app, name it with --script-root, or make one with 'perdure init'.)"
    ) in said


def test_syntax_error_in_the_app(new_host: NewHost, tmp_path: Path) -> None:
    host = new_host(write_app(tmp_path / "broken", "def half(:\n    pass\n"))
    said = refused(host)
    line = (host.app / "function_app.py").read_text().splitlines().index("def half(:") + 1
    assert f'File "{host.app / "function_app.py"}", line {line}' in said
    assert f"The app could not be imported ({host.app / 'function_app.py'}:{line}):" in said
    assert "SyntaxError" in said


def test_import_error_in_the_app(new_host: NewHost, tmp_path: Path) -> None:
    host = new_host(write_app(tmp_path / "broken", "import helpers\n"))
    (host.app / "helpers.py").write_text("import no_such_module_anywhere\n")
    said = refused(host)
    assert f'File "{host.app / "helpers.py"}", line 1, in <module>' in said
    assert "ModuleNotFoundError: No module named 'no_such_module_anywhere'" in said
    assert said.count("Traceback (most recent call last):") == 1
    assert "importlib" not in said


def test_a_missing_requirement_is_named(new_host: NewHost, tmp_path: Path) -> None:
    host = new_host(write_app(tmp_path / "broken", "import no_such_module_anywhere\n"))
    (host.app / "requirements.txt").write_text("azure-functions\nno-such-module-anywhere==1.0\n")
    assert "no-such-module-anywhere is not installed in " in refused(host)
    assert "pip install -r requirements.txt" in host.log()


def test_duplicate_function_names(new_host: NewHost, tmp_path: Path) -> None:
    code = """
        @app.activity_trigger(input_name="x")
        def twice(x):
            return x

        @app.function_name("twice")
        @app.activity_trigger(input_name="x")
        def other(x):
            return x
    """
    host = new_host(write_app(tmp_path / "doubled", code))
    said = refused(host)
    file = host.app / "function_app.py"
    lines = [n for n, line in enumerate(file.read_text().splitlines(), 1) if line.startswith("@app.")]
    assert (
        f"Function twice does not have a unique function name: it is defined at {file}:{lines[0]} and at "
        f"{file}:{lines[1]}. Rename one of them, or give it another name with @app.function_name."
    ) in said


# ---- the port and the store


def test_port_in_use(new_host: NewHost) -> None:
    host = new_host("chaining")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", host.port))
        taken.listen()
        said = refused(host)
    assert (
        f"Port {host.port} is unavailable. Close the process using that port, or specify another port using "
        "--port [-p]."
    ) in said
    assert "Traceback" not in said


def store_host(new_host: NewHost, file: Path) -> Host:
    return new_host("chaining", settings={"PERDURE_STORE": f"sqlite:///{file}"})


def test_a_direct_connection_beside_a_store_in_a_file(new_host: NewHost) -> None:
    host = new_host("chaining", settings={"PERDURE_STORE_LISTEN": "postgresql://app@db/app"}).start()
    warning = (
        "PERDURE_STORE_LISTEN is without effect: it names a direct connection to a PostgreSQL server, and the store is "
        f"{host.app / '.perdure' / 'TestHubName.db'} (PERDURE_STORE)."
    )
    eventually(lambda: warning in host.log(), 5, "the warning")


def test_store_file_that_may_not_be_written(new_host: NewHost) -> None:
    file = Path("/proc/hub.db")  # nobody may write there, not even root
    said = refused(store_host(new_host, file))
    assert f"The store file {file} cannot be written (" in said
    assert "give the user that runs perdure the right to write there, or set PERDURE_STORE to another place." in said


def test_store_folder_that_cannot_be_made(new_host: NewHost, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = refused(store_host(new_host, tmp_path / "file" / "hub.db"))
    assert f"The folder of the store, {tmp_path / 'file'}, cannot be made (" in said


def test_store_file_held_exclusively(new_host: NewHost, tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("pragma locking_mode = exclusive")
    other.execute("create table theirs (a)")
    other.execute("begin exclusive")
    try:
        said = refused(store_host(new_host, file))
    finally:
        other.close()
    assert (
        f"The store file {file} is held exclusively by another program: close that program (a database browser, "
        "a shell with an open transaction, a backup), then start again. Programs that only read may stay open."
    ) in said


def test_store_file_that_is_corrupt(new_host: NewHost, tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    file.write_bytes(b"this is no database at all" * 100)
    before = file.read_bytes()
    said = refused(store_host(new_host, file))
    assert f"The store file {file} is not a usable SQLite database (file is not a database): " in said
    assert "put a backup in its place, or move it away to start with an empty store. Nothing was changed." in said
    assert file.read_bytes() == before


def test_store_file_that_is_damaged_inside(new_host: NewHost, tmp_path: Path) -> None:
    """Found only when a page is read: the host says so in the format of its log, and answers 503, not 404."""
    file = tmp_path / "hub.db"
    host = store_host(new_host, file).start()
    instance = host.begin("/api/recipes/tea")["id"]
    host.completed(instance)
    host.stop()
    with sqlite3.connect(file) as store:
        pages = store.execute("select rootpage from sqlite_master where tbl_name = 'instance'").fetchall()
        (size,) = store.execute("pragma page_size").fetchone()
    store.close()
    with file.open("r+b") as content:
        for (page,) in pages:
            content.seek((page - 1) * size)
            content.write(b"\xff" * size)
    host.args = ("--log-format", "json")
    seen = len(host.log())
    host.start()
    answer = host.get(f"{WEBHOOK}/instances/{instance}")
    assert answer.status_code == 503
    text = f"the store file {file} is damaged (database disk image is malformed): stop the host and put a backup in"
    assert text in answer.json()["Message"]
    lines = eventually(lambda: text in host.log()[seen:] and host.log()[seen:].splitlines())
    assert any(text in json.loads(line)["message"] for line in lines)


def test_store_file_of_a_newer_version(new_host: NewHost, tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    host = store_host(new_host, file).start()
    host.stop()
    with sqlite3.connect(file) as store:
        store.execute("update hub set schema = 999, min_reader = 999, min_writer = 999")
        store.execute("pragma user_version = 999")
    store.close()
    said = refused(host)
    assert f"The store file {file} comes from a newer version of perdure (schema 999, " in said
    assert "upgrade perdure, or set PERDURE_STORE to another file. Nothing was changed." in said


# ---- orchestrators and clients


def failed_output(new_host: NewHost, folder: Path, code: str) -> tuple[str, Path]:
    host = new_host(write_app(folder, code)).start()
    host.begin_webhook("mistaken", None, "m")
    status = host.finished("m")
    assert status["runtimeStatus"] == "Failed", status
    output: str = status["output"]
    return output, host.app / "function_app.py"


def test_an_unknown_activity_is_named_with_the_nearest_known(new_host: NewHost, tmp_path: Path) -> None:
    code = """
        @app.orchestration_trigger(context_name="context")
        def mistaken(context):
            return (yield context.call_activity("say_helo", 1))

        @app.activity_trigger(input_name="x")
        def say_hello(x):
            return x

        @app.activity_trigger(input_name="x")
        def add(x):
            return x
    """
    output, _ = failed_output(new_host, tmp_path / "mistaken", code)
    assert (
        "The function 'say_helo' doesn't exist, is disabled, or is not an activity function. Additional info: "
        "The following are the known activity functions: 'add', 'say_hello'. Did you mean 'say_hello'?"
    ) in output


def test_yield_of_a_non_task(new_host: NewHost, tmp_path: Path) -> None:
    code = """
        @app.orchestration_trigger(context_name="context")
        def mistaken(context):
            yield 42
    """
    output, file = failed_output(new_host, tmp_path / "mistaken", code)
    line = file.read_text().splitlines().index("    yield 42") + 1
    assert output.startswith("Orchestrator function 'mistaken' failed: ")
    assert f"The orchestrator yielded a non-task at {file}:{line} in mistaken: int 42. Yield only tasks: " in output


def test_a_client_call_for_an_unknown_orchestrator(new_host: NewHost, tmp_path: Path) -> None:
    code = """
        @app.route(route="go")
        @app.durable_client_input(client_name="client")
        async def go(req, client):
            try:
                await client.start_new("tuor")
            except Exception as error:
                return func.HttpResponse(str(error))

        @app.orchestration_trigger(context_name="context")
        def tour(context):
            return 1
    """
    host = new_host(write_app(tmp_path / "mistaken", code)).start()
    assert host.get("/api/go").text == (
        "The function 'tuor' doesn't exist, is disabled, or is not an orchestrator function. Additional info: "
        "The following are the known orchestrator functions: 'tour'. Did you mean 'tour'?"
    )


def test_changed_code_parks_the_instance_and_a_fixed_deployment_goes_on(new_host: NewHost, tmp_path: Path) -> None:
    code = """
        @app.orchestration_trigger(context_name="context")
        def mistaken(context):
            first = yield context.call_activity("one", None)
            yield context.wait_for_external_event("go")
            return [first, (yield context.call_activity("two", None))]

        @app.activity_trigger(input_name="x")
        def one(x):
            return 1

        @app.activity_trigger(input_name="x")
        def two(x):
            return 2
    """
    host = new_host(write_app(tmp_path / "mistaken", code)).start()
    links = host.begin_webhook("mistaken", None, "m")
    eventually(lambda: "Executed 'Functions.one'" in host.log())
    host.stop()
    file = host.app / "function_app.py"
    good = file.read_text()
    file.write_text(good.replace('context.call_activity("one"', 'context.call_activity("two"'))
    host.start()
    go = links["sendEventPostUri"].replace("{eventName}", "go")
    assert host.post(go, {}).status_code == 202
    line = good.splitlines().index('    first = yield context.call_activity("one", None)') + 1
    eventually(lambda: f"{file}:{line}" in host.log(), what="the report of the mismatch")
    status = host.status("m")
    assert status is not None
    assert status["runtimeStatus"] == "Running", "parked, not destroyed"
    host.stop()
    file.write_text(good)
    host.start()
    assert host.completed("m") == [1, 2]
