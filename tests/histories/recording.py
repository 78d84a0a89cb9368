"""A recording: one generation of one orchestration as a store held it, in a file that people can read.

The first line says what it is and who made it, each further line is a turn: the history row, byte for byte, and what
the turn decided that no row keeps.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

FOLDER = Path(__file__).parent


class Header(Struct, frozen=True, omit_defaults=True):
    """`release`, `schema`, `history_format` and `logic` (the engine's rules): what made it. `app` and `dialect`: what
    ran. The rest is the instance's row; `status` is ContinuedAsNew where another generation follows."""

    release: str
    schema: int
    history_format: int
    logic: int
    dialect: int
    app: str
    fingerprint: str
    instance_id: str
    n: int
    generation: int
    name: str
    status: str
    version: str = ""
    input: str | None = None
    parent_id: str | None = None
    tags: dict[str, str] | None = None
    output: str | None = None
    custom_status: str | None = None


class Turn(Struct, frozen=True, omit_defaults=True):
    """`cancelled` are the timers that the code cancelled, `custom_status` is there where the code set it."""

    turn: int
    row: Raw
    cancelled: tuple[int, ...] = ()
    custom_status: str | UnsetType | None = UNSET


class Recording(Struct, frozen=True):
    header: Header
    turns: list[Turn]


def write(path: Path, recording: Recording) -> None:
    """Raises `FileExistsError`: a recording is never written again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        for line in (recording.header, *recording.turns):
            file.write(msgspec.json.encode(line) + b"\n")


def read(path: Path) -> Recording:
    first, *rest = path.read_bytes().splitlines()
    return Recording(msgspec.json.decode(first, type=Header), [msgspec.json.decode(line, type=Turn) for line in rest])


def recordings() -> list[Path]:
    """All that there are, of every release."""
    return sorted(FOLDER.glob("*/*/*.jsonl"))


def app_source(name: str) -> bytes:
    return (FOLDER / "app" / f"{name}.py").read_bytes()


def load_app(name: str, source: bytes) -> Any:
    """The module of an app, run anew; its failures name the file as seen from the root of the project."""
    module = ModuleType(f"tests.histories.app.{name}")
    sys.modules[module.__name__] = module
    exec(compile(source, f"tests/histories/app/{name}.py", "exec"), module.__dict__)
    return module
