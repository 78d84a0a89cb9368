"""`perdure new`: add functions to an app from a template."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct

from perdure.cli.init import V1, V2, create_app, write_new
from perdure.cli.templates.catalog import (
    TEMPLATES,
    Template,
    find_template,
    nearest_title,
    v1_files,
    v2_source,
)
from perdure.cli.templates.python_source import (
    append_functions,
    application_name,
    defined_names,
    register_blueprint,
)
from perdure.host.errors import StartError, UsageError

APP_FILE = "function_app.py"
AUTH_LEVELS = ("function", "anonymous", "admin")
_NAMES = {V1: re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,126}"), V2: re.compile(r"[A-Za-z][A-Za-z0-9_]{0,126}")}


class Request(Struct, frozen=True):
    """What to add. `file` is the module for the v2 model."""

    template: Template
    name: str
    auth_level: str = "function"
    file: str = APP_FILE


def add_function(root: Path, request: Request, say: Callable[[str], None]) -> None:
    """Write the functions of a template into the app at `root`. Raises `StartError`; then nothing was written."""
    model = app_model(root)
    if not _NAMES[model].fullmatch(request.name):
        also = " and dashes" if model == V1 else ""
        raise UsageError(
            f"'{request.name}' is no name for a function: it begins with a letter and goes on with letters, digits, "
            f"underscores{also}."
        )
    if model == V1:
        _add_folders(root, request, say)
    else:
        _add_to_module(root, request, say)
    if request.template.title.startswith("Durable"):
        _require_durable(root, say)
    say(f'The function "{request.name}" was created successfully from the "{request.template.title}" template.')


def app_model(root: Path) -> str:
    """The programming model of the app: V2 if it has a function_app.py."""
    return V2 if (root / APP_FILE).exists() else V1


def _add_folders(root: Path, request: Request, say: Callable[[str], None]) -> None:
    wanted = v1_files(request.template, request.name, request.auth_level)
    for folder in sorted({path.partition("/")[0] for path in wanted}):
        if (root / folder).exists():
            raise StartError(f"Function '{folder}' exists already: {root / folder}. Choose another --name.")
    for path, text in wanted.items():
        write_new(root, path, text, say)


def _add_to_module(root: Path, request: Request, say: Callable[[str], None]) -> None:
    addition = v2_source(request.template, request.name, request.auth_level)
    target = root / request.file
    if not target.name.endswith(".py") or not target.stem.isidentifier():
        raise UsageError(f"--file '{request.file}' is no Python module: expected a name such as orders.py.")
    is_new = not target.exists()
    source = "import azure.functions as func\n\nbp = func.Blueprint()\n" if is_new else _read(target)
    application = application_name(source)
    if application is None:
        raise StartError(f"{target} has no app to add functions to: expected a line such as app = func.FunctionApp().")
    for module in {target, root / APP_FILE}:
        for name in sorted(defined_names(addition) & (defined_names(_read(module)) if module.exists() else set())):
            raise StartError(f"Function '{name}' exists already in {module}. Choose another --name.")
    registered = None
    if target.name != APP_FILE:
        module_name = ".".join(Path(request.file).with_suffix("").parts)
        registered = register_blueprint(_read(root / APP_FILE), module_name, application)
    say(f"{'Writing' if is_new else 'Appending to'} {request.file}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(append_functions(source, addition, application), encoding="utf-8")
    if target.name != APP_FILE:
        if registered is None:
            say(f"Register the blueprint '{application}' of {request.file} in {APP_FILE} yourself: it has no app.")
        else:
            (root / APP_FILE).write_text(registered, encoding="utf-8")


def _require_durable(root: Path, say: Callable[[str], None]) -> None:
    """List the package of the durable programming model, which the app needs wherever else it runs."""
    package, path = "azure-functions-durable", root / "requirements.txt"
    if path.exists():
        text = path.read_text(encoding="utf-8")
        if package not in text.replace("_", "-").lower():
            say(f"Appending {package} to requirements.txt")
            path.write_text(text + ("" if text.endswith("\n") or not text else "\n") + package + "\n", encoding="utf-8")


def _read(path: Path) -> str:
    try:
        source = path.read_text(encoding="utf-8-sig")
        defined_names(source)
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}.") from None
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise StartError(f"{path}{line} is not valid Python, so nothing can be added to it: {error}") from None
    return source


def new_command(
    template: Annotated[str, typer.Option("-t", "--template", help="template, in any case")] = "",
    name: Annotated[str, typer.Option("-n", "--name", help="name of the function")] = "",
    file: Annotated[
        str, typer.Option("-f", "--file", help="module (V2); another than function_app.py is a blueprint")
    ] = APP_FILE,
    auth_level: Annotated[str, typer.Option("-a", "--authlevel", help="function, anonymous or admin")] = "",
    language: Annotated[str, typer.Option("-l", "--language", help="python")] = "python",
    csx: Annotated[bool, typer.Option("--csx", hidden=True)] = False,
) -> None:
    """Add functions from a template. Without --template and --name it asks."""
    if language.casefold() != "python":
        raise UsageError(f"--language '{language}' is not supported: perdure runs apps written in Python.")
    interactive = sys.stdin.isatty()
    if not interactive and not (template and name):
        raise UsageError("Running in non-interactive mode: both --template and --name are needed.\n" + _titles())
    level = (auth_level or "function").casefold()
    if level not in AUTH_LEVELS:
        raise UsageError(f"--authlevel '{auth_level}' is unknown: expected one of {', '.join(AUTH_LEVELS)}.")
    chosen = _chosen(template or _ask_template())
    root = Path.cwd()
    if not any((root / marker).exists() for marker in ("local.settings.json", "host.json")):
        create_app(root, print)
    request = Request(
        chosen, name or _ask(f"Function name: [{chosen.default_name}] ") or chosen.default_name, level, file
    )
    if auth_level and not chosen.has_http:
        print(f"--authlevel has no effect on the template '{chosen.title}'.")
    add_function(root, request, print)


def _chosen(wanted: str) -> Template:
    template = find_template(wanted)
    if template is None:
        near = nearest_title(wanted)
        hint = f" Did you mean '{near}'?" if near else ""
        raise UsageError(f"Unknown template '{wanted}'.{hint}\n{_titles()}")
    return template


def _titles() -> str:
    return "Templates:\n" + "\n".join(f"  {template.title}" for template in TEMPLATES)


def _ask_template() -> str:
    for number, template in enumerate(TEMPLATES, 1):
        print(f"{number:3}. {template.title}")
    answer = _ask("Choose a template: ")
    return TEMPLATES[int(answer) - 1].title if answer.isdecimal() and 0 < int(answer) <= len(TEMPLATES) else answer


def _ask(question: str) -> str:
    try:
        return input(question).strip()
    except EOFError:
        return ""
