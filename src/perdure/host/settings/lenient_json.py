"""JSON as host.json and local.settings.json hold it: with comments, trailing commas and a byte order mark."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from perdure.host.errors import StartError

_TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/|,(?=(?:\s|//[^\n]*|/\*.*?\*/)*[}\]])', re.DOTALL)


def read_object(path: Path) -> dict[str, Any]:
    """The object in a file. Raises `StartError` that names the file, the line and the column of a mistake."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise StartError(f"{path.name} is not UTF-8 text: {error.reason} at byte {error.start}. ({path})") from None
    except OSError as error:
        raise StartError(f"{path.name} cannot be read: {error.strerror}. ({path})") from None
    try:
        value = json.loads(_TOKEN.sub(_blank, text))
    except json.JSONDecodeError as error:
        raise StartError(
            f"{path.name} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}. ({path})"
        ) from None
    if not isinstance(value, dict):
        raise StartError(f"{path.name} must hold one JSON object, not {json_type(value)}. ({path})")
    return value


def json_type(value: Any) -> str:
    """What a JSON value is, in words."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def shown(value: Any) -> str:
    """A JSON value for a message, cut at a readable length."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else text[:97] + "..."


def _blank(match: re.Match[str]) -> str:
    """Comments and trailing commas become blanks of the same shape, so that positions in messages stay true."""
    token = match.group()
    return token if token[0] == '"' else re.sub(r"[^\n]", " ", token)
