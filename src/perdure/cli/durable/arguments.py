"""Values of flags: inputs, times, statuses, tags, entity ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from perdure.cli.durable.target import CommandFailed
from perdure.cli.errors import FAILED, USAGE
from perdure.host.http.query_values import parse_time, status_in_any_case
from perdure.model.instance import entity_scheduler_id


def payload(flag: str, value: str | None, text: str | None) -> str | None:
    """The JSON text of an input: `@file` is JSON in a file, else JSON when it parses, else a string.

    `text` is the value of the flag that keeps it a string. Raises `CommandFailed`.
    """
    if text is not None:
        if value is not None:
            raise CommandFailed(f"Give --{flag} or --{flag}-text, not both.", USAGE)
        return json.dumps(text, ensure_ascii=False)
    if value is None:
        return None
    if value.startswith("@"):
        return _file(flag, Path(value[1:]))
    try:
        return _compact(json.loads(value))
    except (ValueError, RecursionError):
        return json.dumps(value, ensure_ascii=False)


def _file(flag: str, path: Path) -> str:
    try:
        text = path.read_text("utf-8-sig")
    except OSError:
        raise CommandFailed(f"Could not find input file at '{path}'") from None
    except UnicodeDecodeError as error:
        raise CommandFailed(f"--{flag}: the file '{path}' is not UTF-8 text ({error}).") from None
    try:
        return _compact(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise CommandFailed(f"--{flag}: the file '{path}' holds no JSON: {error}", FAILED) from None


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def moment(flag: str, value: str | None) -> int | None:
    """Microseconds since 1970. Raises `CommandFailed`."""
    if value is None:
        return None
    found = parse_time(value)
    if found is None:
        raise CommandFailed(f"--{flag}: '{value}' is no time. Expected ISO 8601, for example 2026-01-31T10:00.", USAGE)
    return found


def statuses(value: str | None) -> tuple[int, ...]:
    """Runtime statuses in any case, with spaces or commas between. Raises `CommandFailed`."""
    found: dict[int, None] = {}
    for part in (value or "").replace(",", " ").split():
        status = status_in_any_case(part)
        if status is None:
            raise CommandFailed(
                f"--runtime-status: '{part}' is no runtime status. Expected running, completed, failed, canceled, "
                "terminated, pending, suspended or continuedasnew, with spaces between.",
                USAGE,
            )
        found[int(status)] = None
    return tuple(found)


def tags(values: list[str] | None) -> dict[str, str] | None:
    """Tags from NAME=VALUE. Raises `CommandFailed`."""
    found: dict[str, str] = {}
    for value in values or ():
        name, equals, content = value.partition("=")
        if not equals or not name:
            raise CommandFailed(f"--tag: '{value}' is not NAME=VALUE.", USAGE)
        found[name] = content
    return found or None


def entity(text: str | None, name: str | None, key: str | None) -> str:
    """The scheduler id of an entity, from `@name@key`, `name@key`, or the two parts. Raises `CommandFailed`."""
    if name is not None:
        return entity_scheduler_id(name, key or "")
    parts = (text or "").removeprefix("@").split("@", 1)
    if len(parts) != 2 or not parts[0]:
        raise CommandFailed(
            f"'{text or ''}' names no entity. Expected --id @name@key, or --entity-name NAME --entity-key KEY.", USAGE
        )
    return entity_scheduler_id(*parts)
