"""`perdure init`: the files of a new app."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from perdure.cli.templates.catalog import project_file
from perdure.host.errors import StartError, UsageError

V1, V2 = "V1", "V2"
_LEARN_MORE = (
    "The new Python programming model is generally available. Learn more at https://aka.ms/pythonprogrammingmodel"
)


def create_app(
    root: Path,
    say: Callable[[str], None],
    *,
    model: str = V2,
    bundle: bool = True,
    docs: bool = True,
    docker: bool = False,
    docker_only: bool = False,
) -> None:
    """Write the files of an app into `root`; those that exist stay. Raises `StartError`."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"The folder {root} cannot be made: {error.strerror}.") from None
    wanted = {} if docker_only else _app_files(root, model, bundle=bundle, docs=docs)
    if docker or docker_only:
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        wanted["Dockerfile"] = project_file("Dockerfile.tmpl", python=python)
        wanted[".dockerignore"] = project_file("dockerignore")
    if model == V2 and not docker_only:
        say(_LEARN_MORE)
    for path, text in wanted.items():
        write_new(root, path, text, say)


def write_new(root: Path, path: str, text: str, say: Callable[[str], None]) -> bool:
    """Write a file unless it exists; whether it was written."""
    target = root / path
    if target.exists():
        say(f"{path} already exists. Skipped!")
        return False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        say(f"Writing {path}")
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StartError(f"{target} cannot be written: {error.strerror}.") from None
    return True


def _app_files(root: Path, model: str, *, bundle: bool, docs: bool) -> dict[str, str]:
    wanted = {
        "requirements.txt": project_file("requirements.txt"),
        "host.json": project_file("host.json") if bundle else '{\n  "version": "2.0"\n}\n',
        "local.settings.json": project_file("local.settings.json"),
        ".gitignore": project_file("gitignore"),
        ".funcignore": project_file("funcignore") + _environment_line(root),
        os.path.join(".vscode", "extensions.json"): project_file("extensions.json"),
        os.path.join(".vscode", "launch.json"): project_file("launch.json"),
        os.path.join(".vscode", "tasks.json"): project_file("tasks.json"),
    }
    if model == V2:
        return {"function_app.py": project_file("function_app.py.tmpl"), **wanted}
    if docs:
        wanted["getting_started.md"] = project_file("getting_started.md")
    return wanted


def _environment_line(root: Path) -> str:
    """The active virtual environment, if it lies inside the app under a name that the list does not have."""
    active = os.environ.get("VIRTUAL_ENV")
    if not active:
        return ""
    try:
        inside = Path(active).resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return ""
    return "" if inside in project_file("funcignore").splitlines() else f"{inside}\n"


def init_command(
    folder: Annotated[str, typer.Argument(help="Folder of the app; the current one if none.")] = ".",
    worker_runtime: Annotated[str, typer.Option("--worker-runtime", help="python")] = "python",
    python: Annotated[bool, typer.Option("--python", help="the same as --worker-runtime python")] = False,
    model: Annotated[str, typer.Option("-m", "--model", help="programming model, V1 or V2")] = V2,
    language: Annotated[str, typer.Option("-l", "--language", help="python")] = "python",
    source_control: Annotated[bool, typer.Option("--source-control", help="run git init")] = False,
    docker: Annotated[bool, typer.Option("--docker", help="write a Dockerfile, too")] = False,
    docker_only: Annotated[bool, typer.Option("--docker-only", help="write a Dockerfile only")] = False,
    no_bundle: Annotated[bool, typer.Option("--no-bundle", help="no extension bundle in host.json")] = False,
    no_docs: Annotated[bool, typer.Option("--no-docs", help="no getting_started.md (V1)")] = False,
    force: Annotated[bool, typer.Option("--force", help="also in a folder with files; they are kept")] = False,
    bundles_channel: Annotated[str, typer.Option("-c", "--bundles-channel", help="without effect")] = "GA",
    configuration_profile: Annotated[str, typer.Option("--configuration-profile", help="without effect")] = "",
    managed_dependencies: Annotated[bool, typer.Option("--managed-dependencies", hidden=True)] = False,
    csx: Annotated[bool, typer.Option("--csx", hidden=True)] = False,
    target_framework: Annotated[str, typer.Option("--target-framework", hidden=True)] = "",
    skip_npm_install: Annotated[bool, typer.Option("--skip-npm-install", hidden=True)] = False,
) -> None:
    """Make the files of a new app."""
    for option, value in (("--worker-runtime", worker_runtime), ("--language", language)):
        if value.casefold() != "python":
            raise UsageError(f"{option} '{value}' is not supported: perdure runs apps written in Python.")
    if model.upper() not in (V1, V2):
        raise UsageError(f"--model '{model}' is unknown: expected V1 or V2.")
    root = Path(folder)
    create_app(
        root,
        print,
        model=model.upper(),
        bundle=not no_bundle,
        docs=not no_docs,
        docker=docker,
        docker_only=docker_only,
    )
    if source_control:
        _git_init(root)


def _git_init(root: Path) -> None:
    try:
        done = subprocess.run(["git", "init"], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise StartError("--source-control needs git, and there is no git on the PATH.") from None
    if done.returncode:
        raise StartError(f"git init failed: {done.stderr.strip()}")
    print(done.stdout.strip())
