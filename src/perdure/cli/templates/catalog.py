"""The templates of `perdure new`, and the files that each makes."""

from __future__ import annotations

import difflib
import re
from importlib.resources import files
from string import Template as Text

from msgspec import Struct


class Template(Struct, frozen=True):
    """`title` is what users type and read; `key` names its files; `default_name` is offered for the function."""

    title: str
    key: str
    default_name: str
    has_http: bool = False


TEMPLATES = (
    Template("HTTP trigger", "http", "HttpTrigger", has_http=True),
    Template("Timer trigger", "timer", "TimerTrigger"),
    Template("Durable Functions activity", "activity", "Hello"),
    Template("Durable Functions orchestrator", "orchestrator", "DurableFunctionsOrchestrator"),
    Template("Durable Functions HTTP starter", "starter", "DurableFunctionsHttpStart", has_http=True),
    Template("Durable Functions entity", "entity", "DurableFunctionsEntityPy", has_http=True),
    Template("Durable Functions chaining", "chaining", "Chaining", has_http=True),
    Template("Durable Functions fan-out/fan-in", "fan_out", "FanOut", has_http=True),
    Template("Durable Functions monitor", "monitor", "Monitor", has_http=True),
    Template("Durable Functions human interaction", "human_interaction", "HumanInteraction", has_http=True),
    Template("Durable Functions eternal orchestration", "eternal", "Eternal", has_http=True),
)


def find_template(wanted: str) -> Template | None:
    """The template of this title or short name, whatever its case, spaces and dashes."""
    plain = _plain(wanted)
    for template in TEMPLATES:
        title = _plain(template.title)
        if plain in (
            title,
            _plain(template.key),
            title.removeprefix("durablefunctions"),
            title.removesuffix("trigger"),
        ):
            return template
    return None


def nearest_title(wanted: str) -> str | None:
    """The title that was probably meant."""
    near = difflib.get_close_matches(_plain(wanted), [_plain(template.title) for template in TEMPLATES], 1, 0.5)
    return next((template.title for template in TEMPLATES if [_plain(template.title)] == near), None)


def v2_source(template: Template, name: str, auth_level: str) -> str:
    """The module that the template is in the v2 model: imports, then functions of an `app`."""
    text = (files(__package__) / "v2" / f"{template.key}.py.tmpl").read_text(encoding="utf-8")
    return Text(text).substitute(name=name, auth=auth_level.upper())


def v1_files(template: Template, name: str, auth_level: str) -> dict[str, str]:
    """Path -> text of the files that the template is in the v1 model."""
    text = (files(__package__) / "v1" / f"{template.key}.tmpl").read_text(encoding="utf-8")
    filled = Text(text).substitute(name=name, auth=auth_level.lower())
    parts = re.split(r"^==> (.+) <==\n", filled, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def project_file(name: str, **values: str) -> str:
    """The text of a file of a new app."""
    text = (files(__package__) / "project" / name).read_text(encoding="utf-8")
    return Text(text).substitute(**values) if values else text


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.casefold())
