"""Route templates of HTTP functions: which function answers a method and path, with which route parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from perdure.host.functions.route_constraints import Constraint, constraint

_RESERVED = ("admin", "runtime")


class RouteError(ValueError):
    """A template that cannot be used; the text says why."""


class Parameter(NamedTuple):
    """`{name:constraint=default}` of a template."""

    name: str
    optional: bool = False
    catch_all: bool = False
    default: str | None = None
    constraints: tuple[Constraint, ...] = ()


class Template:
    """A compiled route template. `match` gives the route parameters of a decoded path."""

    def __init__(self, text: str) -> None:
        self.text = text
        segments = _segments(text)
        self.parameters = [part for segment in segments for part in segment if isinstance(part, Parameter)]
        names = [parameter.name.lower() for parameter in self.parameters]
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise RouteError(f"The route template '{text}' names the parameter '{repeated}' more than once.")
        tails = [segment for segment in segments if any(isinstance(p, Parameter) and p.catch_all for p in segment)]
        if tails and (tails != [segments[-1]] or len(segments[-1]) > 1):
            raise RouteError(f"The route template '{text}' has a catch-all parameter that is not the last one.")
        self._open_ended = bool(tails)
        self._pattern = re.compile(_pattern(segments), re.IGNORECASE)
        #: the path in lower case, when nothing in it varies
        self.literal = None if self.parameters else "/" + "/".join(str(s[0]) for s in segments).lower()

    def match(self, path: str) -> dict[str, str] | None:
        """The parameters of a path without prefix, or None. Unused optional ones are left out."""
        found = self._pattern.fullmatch(path if self._open_ended else path.rstrip("/"))
        if found is None:
            return None
        values: dict[str, str] = {}
        for parameter, value in zip(self.parameters, found.groups(), strict=True):
            if value is None or value == "":
                value = parameter.default
            if value is None:
                continue
            if not all(check(value) for check in parameter.constraints):
                return None
            values[parameter.name] = value
        return values


class Route(NamedTuple):
    """A function's route. No methods: all of them."""

    function: str
    template: Template
    methods: frozenset[str]


class RouteTable:
    """The routes of an app in the order of its functions; the first that matches wins."""

    def __init__(self, prefix: str = "api") -> None:
        self._prefix = "/" + prefix.strip("/") if prefix.strip("/") else ""
        self._routes: list[Route] = []
        self._literal: dict[tuple[str, str], Route] = {}
        self._first_variable: int | None = None

    def add(self, function: str, route: str | None, methods: Iterable[str]) -> None:
        """Register a function; without `route` its name is the route. Raises `RouteError`."""
        template = Template(function if route is None else route)
        first = template.text.strip("/").split("/")[0].lower()
        if not self._prefix and first in _RESERVED:
            raise RouteError("The specified route conflicts with one or more built in routes.")
        wanted = frozenset(method.upper() for method in methods)
        for other in self._routes:
            same = other.template.text.strip("/").lower() == template.text.strip("/").lower()
            if same and (not wanted or not other.methods or wanted & other.methods):
                raise RouteError(
                    f"The route specified conflicts with the route defined by function '{other.function}'."
                )
        entry = Route(function, template, wanted)
        self._routes.append(entry)
        if template.literal is None and self._first_variable is None:
            self._first_variable = len(self._routes) - 1
        elif template.literal is not None and self._first_variable is None:
            # no variable route comes before it, so nothing else can win: found without a search
            for method in wanted or ("",):
                self._literal.setdefault((method, template.literal), entry)

    @property
    def routes(self) -> list[Route]:
        """All routes, in order."""
        return list(self._routes)

    def match(self, method: str, path: str) -> tuple[str, dict[str, str]] | None:
        """The function for a decoded path, and its route parameters."""
        if self._prefix:
            size = len(self._prefix)
            if path[:size].lower() != self._prefix.lower() or (len(path) > size and path[size] != "/"):
                return None
            path = path[size:] or "/"
        lower = path.rstrip("/").lower() or "/"
        entry = self._literal.get((method, lower)) or self._literal.get(("", lower))
        if entry is not None:
            return entry.function, {}
        for entry in self._routes:
            if entry.methods and method not in entry.methods:
                continue
            values = entry.template.match(path)
            if values is not None:
                return entry.function, values
        return None


def _segments(template: str) -> list[list[str | Parameter]]:
    """Literals and parameters, by segment. Doubled braces stand for themselves. Raises `RouteError`."""
    segments: list[list[str | Parameter]] = [[]]
    text = template.strip("/")
    literal, position = "", 0
    while position < len(text):
        if text[position : position + 2] in ("{{", "}}"):
            literal += text[position]
            position += 2
            continue
        if text[position] in "{/" and literal:
            segments[-1].append(literal)
            literal = ""
        if text[position] == "/":
            segments.append([])
        elif text[position] == "{":
            end = _closing_brace(text, position + 1, template)
            segments[-1].append(_parse_parameter(text[position + 1 : end], template))
            position = end
        else:
            literal += text[position]
        position += 1
    if literal:
        segments[-1].append(literal)
    if text and not all(segments):
        raise RouteError(f"The route template '{template}' has an empty segment ('//').")
    return segments if text else []


def _closing_brace(text: str, position: int, template: str) -> int:
    while position < len(text):
        if text[position : position + 2] in ("{{", "}}"):
            position += 2
        elif text[position] == "}":
            return position
        else:
            position += 1
    raise RouteError(f"The route template '{template}' has an opening brace without a closing one.")


def _parse_parameter(text: str, template: str) -> Parameter:
    catch_all = text.startswith("*")
    text = text.lstrip("*")
    match = re.match(r"[^:=?]*", text)
    name = match.group() if match else ""
    rest = text[len(name) :]
    if not name or "{" in name or "/" in name:
        raise RouteError(f"The route template '{template}' has a parameter without a proper name: '{{{text}}}'.")
    constraints: list[Constraint] = []
    while rest.startswith(":"):
        written, rest = _take_constraint(rest[1:])
        try:
            constraints.append(constraint(written.replace("{{", "{").replace("}}", "}")))
        except ValueError as error:
            raise RouteError(f"The route template '{template}' cannot be used: {error}") from None
    default = rest[1:] if rest.startswith("=") else None
    optional = rest == "?"
    if default is not None and default.endswith("?"):
        raise RouteError(f"The route template '{template}' has a parameter with both a default and '?': '{name}'.")
    return Parameter(name, optional, catch_all, default, tuple(constraints))


def _take_constraint(text: str) -> tuple[str, str]:
    depth = 0
    for position, character in enumerate(text):
        if character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
        elif depth == 0 and character in ":=?":
            return text[:position], text[position:]
    return text, ""


def _pattern(segments: list[list[str | Parameter]]) -> str:
    """A regular expression with one group for each parameter; a tail of optional segments may be missing."""
    pattern = ""
    tail = True
    for segment in reversed(segments):
        only = segment[0] if len(segment) == 1 else None
        if isinstance(only, Parameter) and only.catch_all:
            pattern = "(?:/(.*))?"
            continue
        may_miss = isinstance(only, Parameter) and (only.optional or only.default is not None)
        tail = tail and may_miss
        body = "/" + _segment_pattern(segment)
        pattern = f"(?:{body}{pattern})?" if tail else body + pattern
    return pattern


def _segment_pattern(segment: list[str | Parameter]) -> str:
    last = segment[-1]
    if len(segment) >= 3 and isinstance(last, Parameter) and last.optional and segment[-2] == ".":
        return "".join(_part_pattern(part) for part in segment[:-2]).replace("+)", "+?)") + r"(?:\.([^/.]+))?"
    return "".join(_part_pattern(part) for part in segment)


def _part_pattern(part: str | Parameter) -> str:
    return re.escape(part) if isinstance(part, str) else "([^/]+)"
