"""Find out what an app contains: the decorator model (`function_app.py`) or folders with `function.json`.

Runs in the worker. Importing an app runs the user's code; whatever that raises becomes an `IndexError_` with the
user's own frames.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import importlib
import inspect
import json
import logging
import os
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType
from typing import Any

from perdure.host.protocol.messages import IndexedFunction, IndexError_
from perdure.host.protocol.user_errors import missing_module_hint, place_of, user_traceback
from perdure.host.worker.asgi import Lifespan, lifespan_of
from perdure.host.worker.folder_model import index_folder, prepare_folders
from perdure.sdk.app import EntityCode, OrchestratorCode, code_of

_DURABLE_NAMES = {"orchestrationtrigger": "orchestration", "activitytrigger": "activity", "entitytrigger": "entityname"}


class LoadedFunction:
    """One function of the app: what the host is told of it, and what is called here."""

    __slots__ = ("call", "code", "directory", "indexed")

    def __init__(
        self,
        indexed: IndexedFunction,
        call: Callable[..., Any],
        directory: str,
        code: OrchestratorCode | EntityCode | None = None,
    ) -> None:
        self.indexed = indexed
        self.call = call
        self.directory = directory
        self.code = code


class LoadedApp:
    """What `load_app` found. With a fatal error among `errors` nothing can run."""

    __slots__ = ("errors", "functions", "lifespan", "programming_model", "warnings")

    def __init__(self) -> None:
        self.functions: list[LoadedFunction] = []
        self.errors: list[IndexError_] = []
        self.warnings: list[str] = []
        self.programming_model = "v2"
        self.lifespan: Lifespan | None = None


def prepare_paths(root: str) -> None:
    """Make the app's own modules and packages importable as on Azure, and the app's folder the current one.

    They come before everything else but the standard library: a function in a folder `queue` or `email` hides nothing.
    """
    # bytecode files tell versions of a source apart by second and size: two saves within a second may look the same
    sys.dont_write_bytecode = True
    minor = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    libraries = os.path.join(root, ".python_packages", "lib")
    folders = [os.path.join(libraries, "site-packages"), os.path.join(libraries, minor, "site-packages")]
    if not os.path.isdir(folders[1]):
        folders[1:] = glob.glob(os.path.join(libraries, "python3*", "site-packages"))[:1]
    paths = [root, *(folder for folder in folders if os.path.isdir(folder))]
    standard = [path for path in sys.path if _is_standard(path)]
    sys.path[:] = standard + paths + [path for path in sys.path if path not in paths and path not in standard]
    os.chdir(root)


def _is_standard(path: str) -> bool:
    """Whether this entry of the module path is one of the standard library."""
    library = os.path.dirname(os.__file__)
    return path in (library, os.path.join(library, "lib-dynload"), sysconfig.get_path("platstdlib")) or (
        path.endswith(".zip") and os.path.dirname(path) == os.path.dirname(library)
    )


def load_app(root: str, only: Iterable[str] = ()) -> LoadedApp:
    """Import the app under `root` and list its functions; with `only`, those functions alone."""
    app = LoadedApp()
    script = os.environ.get("PYTHON_SCRIPT_FILE_NAME") or "function_app.py"
    folders = sorted(path.parent.name for path in Path(root).glob("*/function.json"))
    wanted = {name.lower() for name in only}
    if os.path.isfile(os.path.join(root, script)):
        if folders:
            app.warnings.append(
                f"{script} was found beside folders with function.json: only the functions of {script} are loaded. "
                f"Not loaded: {', '.join(folders)}. Remove {script} to run the folders."
            )
        _load_script(app, root, script)
    elif folders:
        app.programming_model = "v1"
        _load_folders(app, root, [name for name in folders if not wanted or name.lower() in wanted])
    else:
        app.warnings.append(
            f"No job functions found in {root}: expected {script} with a function app (v2 model) "
            "or folders with a function.json (v1 model)."
        )
    if wanted:
        known = {loaded.indexed.name.lower() for loaded in app.functions} | {name.lower() for name in folders}
        missing = sorted(name for name in only if name.lower() not in known)
        if missing and not app.errors:
            app.warnings.append(f"--functions: the app has no function {', '.join(map(repr, missing))}.")
        app.functions = [loaded for loaded in app.functions if loaded.indexed.name.lower() in wanted]
    _check_durable_names(app)
    return app


def _load_script(app: LoadedApp, root: str, script: str) -> None:
    from azure.functions import FunctionRegister

    name = Path(script).stem
    try:
        module = importlib.import_module(name)
    except BaseException as error:  # noqa: BLE001 - SystemExit at import ends the app, not the worker's report of it
        app.errors.append(_import_error("", error, root, fatal=True))
        return
    found = {id(value): value for value in vars(module).values() if isinstance(value, FunctionRegister)}
    if len(found) != 1:
        what = "no function app" if not found else f"{len(found)} function apps"
        app.errors.append(
            IndexError_(
                "",
                f"{script} has {what} at module level; expected one, such as app = func.FunctionApp() "
                "or app = df.DFApp(). Functions in other files belong in blueprints that it registers.",
                fatal=True,
            )
        )
        return
    load_register(app, next(iter(found.values())), root, script)


def load_register(app: LoadedApp, register: Any, root: str = "", script: str = "") -> None:
    """List the functions of a function app object (`FunctionApp`, `DFApp`)."""
    builders = list(getattr(register, "_function_builders", []))
    # the library warns of apps without HTTP functions, which durable apps may well be
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        functions = register.get_functions()
    except Exception as error:  # noqa: BLE001 - whatever the library objects to is the report
        app.errors.append(IndexError_("", _register_error(error, builders), fatal=True))
        return
    finally:
        logging.disable(disabled)
    if not functions:
        app.warnings.append(
            f"No job functions found: the function app of {script or 'this module'} has none. Decorate functions "
            "with it, or register the blueprints that hold them."
        )
    app.lifespan = lifespan_of(register)
    for function in functions:
        bindings = [json.loads(text) for text in function.get_raw_bindings()]
        call = function.get_user_function()
        if app.lifespan is not None and function.http_type == "asgi":
            call = app.lifespan.guard(call)
        # older releases of the library have no settings
        settings = getattr(function, "get_settings_dict", None)
        retry = settings("retry_policy") or None if settings is not None else None
        _add(app, str(function.get_function_name()), bindings, call, script, "", root, retry=retry)


def _register_error(error: Exception, builders: list[Any]) -> str:
    """What `get_functions` complains of, with the places of functions that share a name."""
    places: dict[str, list[str]] = {}
    for builder in builders:
        function = builder._function
        places.setdefault(function.get_function_name(), []).append(location_of(function.get_user_function()))
    doubles = {name: where for name, where in places.items() if len(where) > 1}
    if not doubles:
        return str(error) or user_traceback(error)
    return "\n".join(
        f"Function {name} does not have a unique function name: it is defined at {' and at '.join(where)}. "
        "Rename one of them, or give it another name with @app.function_name."
        for name, where in doubles.items()
    )


def _load_folders(app: LoadedApp, root: str, folders: list[str]) -> None:
    prepare_folders(root)
    for folder in folders:
        try:
            found = index_folder(root, folder)
        except ValueError as error:
            app.errors.append(IndexError_(folder, str(error)))
            continue
        except BaseException as error:  # noqa: BLE001 - one folder that does not import does not stop the others
            app.errors.append(_import_error(folder, error, root, fatal=False))
            continue
        _add(
            app,
            folder,
            found.bindings,
            found.call,
            found.script,
            found.entry_point,
            found.directory,
            found.disabled,
            found.retry,
        )


def _import_error(function: str, error: BaseException, root: str, *, fatal: bool) -> IndexError_:
    where = place_of(error)
    subject = f"Function {function}" if function else "The app"
    text = f"{subject} could not be imported{f' ({where})' if where else ''}:\n{user_traceback(error)}"
    hint = missing_module_hint(error, root)
    return IndexError_(function, f"{text}\n{hint}" if hint else text, fatal)


def _add(
    app: LoadedApp,
    name: str,
    bindings: list[dict[str, Any]],
    call: Callable[..., Any],
    script: str,
    entry_point: str,
    directory: str,
    disabled: bool = False,
    retry: dict[str, Any] | None = None,
) -> None:
    """Check one function and list it."""
    trigger = next((b for b in bindings if str(key(b, "type", "")).lower().endswith("trigger")), None)
    where = location_of(call)
    if trigger is None:
        app.errors.append(IndexError_(name, f"Function {name} ({where}) has no trigger among its bindings."))
        return
    kind = str(key(trigger, "type")).lower()
    code = code_of(call)
    problem = _durable_problem(kind, code, name, where)
    if problem:
        app.errors.append(IndexError_(name, problem))
        return
    durable_name = str(key(trigger, _DURABLE_NAMES[kind], None) or name) if kind in _DURABLE_NAMES else ""
    user_function = code.function if code is not None else call
    indexed = IndexedFunction(
        name=name,
        trigger=kind,
        durable_name=durable_name,
        bindings=bindings,
        script_file=script,
        entry_point=entry_point or user_function.__name__,
        disabled=disabled,
        is_async=code.is_async if code is not None else is_coroutine_function(call),
        parameters=tuple(inspect.signature(call).parameters),
        location=where,
        retry=retry,
    )
    app.functions.append(LoadedFunction(indexed, call, directory, code))


def _durable_problem(kind: str, code: OrchestratorCode | EntityCode | None, name: str, where: str) -> str:
    """What is wrong with the function of an orchestration or entity trigger, where that can be known now."""
    wanted: type[OrchestratorCode] | type[EntityCode]
    if kind == "orchestrationtrigger":
        wanted, creator, expected = OrchestratorCode, "df.Orchestrator.create", "orchestrator"
    elif kind == "entitytrigger":
        wanted, creator, expected = EntityCode, "df.Entity.create", "entity"
    else:
        return ""
    if not isinstance(code, wanted):
        return (
            f"Function {name} ({where}) has an {kind[:-7]} trigger, but its entry point is no {expected} function: "
            f"write main = {creator}(your_function)."
        )
    return ""


def _check_durable_names(app: LoadedApp) -> None:
    """Two functions of one kind must not answer to one durable name (these compare without case)."""
    seen: dict[tuple[str, str], IndexedFunction] = {}
    for loaded in app.functions:
        function = loaded.indexed
        if not function.durable_name or function.disabled:
            continue
        other = seen.setdefault((function.trigger, function.durable_name.lower()), function)
        if other is not function:
            app.errors.append(
                IndexError_(
                    function.name,
                    f"Functions {other.name} ({other.location}) and {function.name} ({function.location}) have the "
                    f"same {function.trigger[:-7]} name {function.durable_name} (case does not matter). Rename one.",
                    fatal=True,
                )
            )


def key(binding: dict[str, Any], name: str, default: Any = None) -> Any:
    """The value of a binding's key; keys are matched without case."""
    if name in binding:
        return binding[name]
    return next((value for written, value in binding.items() if written.lower() == name.lower()), default)


def is_coroutine_function(call: Callable[..., Any]) -> bool:
    """Whether calling gives a coroutine, as far as can be known without a call."""
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(call, "__call__", None))  # noqa: B004


def location_of(function: Callable[..., Any]) -> str:
    """`file:line` of the user's function behind decorators."""
    code = code_of(function)
    if code is not None:
        function = code.function
    function = getattr(function, "client_function", None) or inspect.unwrap(function)
    written: CodeType | None = getattr(function, "__code__", None)
    if written is None:
        written = getattr(getattr(type(function), "__call__", None), "__code__", None)  # noqa: B004
    return f"{written.co_filename}:{written.co_firstlineno}" if written else ""


def fingerprint(root: str) -> str:
    """A short hash over the app's own modules that are loaded now."""
    prefix = os.path.join(os.path.realpath(root), "")
    files = {
        os.path.realpath(file)
        for module in list(sys.modules.values())
        if (file := getattr(module, "__file__", None)) and "site-packages" not in file
    }
    digest = hashlib.sha256()
    for file in sorted(file for file in files if file.startswith(prefix) and file.endswith(".py")):
        digest.update(file[len(prefix) :].encode("utf-8", "surrogateescape"))
        with contextlib.suppress(OSError):
            digest.update(Path(file).read_bytes())
    return digest.hexdigest()[:16]
