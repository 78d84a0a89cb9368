"""`perdure backup FILE`: a consistent copy of the store, while the host goes on."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from perdure.cli.errors import FAILED, print_error
from perdure.host.errors import StartError
from perdure.host.settings.config import Flags, load_config
from perdure.host.settings.hub_name import default_hub_name
from perdure.host.settings.store_url import StoreUrl, parse_store_url
from perdure.storage.provider import StoreError


def backup_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The copy; must not exist.")],
    store: Annotated[str | None, typer.Option("--store", metavar="URL", help="Instead of the app's store.")] = None,
    script_root: Annotated[str | None, typer.Option("--script-root", "--prefix", metavar="DIR")] = None,
) -> None:
    """Copy the store to a file; hosts may be up."""
    try:
        if store is not None:
            found = parse_store_url(store, "--store", Path.cwd())
        else:
            found = load_config(Flags(script_root=script_root), os.environ, Path.cwd()).store
        size = backup(found, file)
    except StartError as error:
        print_error(str(error))
        raise typer.Exit(FAILED) from None
    print(f"Copied {found} to {file} ({size / 1e6:.1f} MB).")


def backup(store: StoreUrl, target: Path) -> int:
    """Copy the store; the size of the copy in bytes. Raises `StartError`."""
    if store.kind == "postgres":
        raise StartError("backup copies SQLite files. PostgreSQL has its own tools: pg_dump, or the base backup.")
    if store.kind != "sqlite":
        raise StartError(f"The store {store} is in the memory of a host: there is nothing to copy.")
    if not Path(store.location).exists():
        raise StartError(f"There is no store {store} to copy.")
    if not target.absolute().parent.is_dir():
        raise StartError(f"There is no folder {target.absolute().parent} to copy to.")
    from perdure.host.client_hubs import hub_names
    from perdure.storage.sqlite import SqliteProvider, StoreUnusable

    calls: queue.Queue[Callable[[], None]] = queue.Queue()
    answers: list[StoreError | None] = []
    # the file is copied with all its hubs; it is opened for one of them
    hubs = hub_names(store) or [default_hub_name(None)]
    provider = SqliteProvider(store.location, hubs[0], calls.put)
    try:
        provider.open()
    except StoreUnusable as error:
        raise StartError(str(error)) from None
    try:
        provider.backup(target, answers.append)
        while not answers:
            calls.get()()
    finally:
        provider.shutdown()
    if isinstance(answers[0], StoreError):
        raise StartError(f"Nothing was copied: {answers[0]}.")
    return target.stat().st_size
