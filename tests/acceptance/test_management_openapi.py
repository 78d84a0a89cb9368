"""The OpenAPI document is true: whatever it allows, and much that it does not, is answered as it says."""

from __future__ import annotations

import contextlib
import inspect
import re
import string
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure.host.http import entity_api, management_api
from tests.acceptance.host import APPS, WEBHOOK, Host
from tests.postgres_server import PostgresServer

EXAMPLES = 25
BODIES = st.one_of(
    st.just(b""),
    st.binary(max_size=30),
    st.sampled_from([b"null", b"5", b'"x"', b'{"a": [1, {}]}', b"{", b"[" * 2000, b'\xef\xbb\xbf{"b": 1}', b"1e999"]),
)
TYPES = st.sampled_from([None, "application/json", "application/json; charset=utf-8", "text/plain", "", "x"])
NAMES = [
    "echo",
    "waiting",
    "failing",
    "counter",
    "nobody",
    "$",
    "one",
    "two",
    "@counter@a",
    "go",
    "a b",
    "x" * 300,
    "é",
    "\u20ac",
]
ANY_TEXT = st.one_of(st.sampled_from(NAMES), st.text(min_size=1, max_size=8))
HUBS = st.sampled_from(["", "TestHubName", "Another", "no-hub!", "x" * 99])
METHODS = ("get", "post", "put", "delete")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with contextlib.ExitStack() as ending:
        store: dict[str, str] = {}
        if request.param == "postgres":
            server = PostgresServer()
            server.make()
            ending.callback(server.remove)
            store["PERDURE_STORE"] = ending.enter_context(server.database())
        made = Host(APPS / "managed", tmp_path_factory.mktemp("openapi"), settings=store)
        ending.callback(made.close)
        yield made.start()


@pytest.fixture(scope="module")
def document(host: Host) -> dict[str, Any]:
    answer = host.get(f"{WEBHOOK}/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def value(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    """Values that fit a schema, and values that do not."""
    kind = schema.get("type")
    fitting: st.SearchStrategy[str]
    if kind == "boolean":
        fitting = st.sampled_from(["true", "false", "True"])
    elif kind == "integer":
        fitting = st.integers(1, 3000).map(str)
    elif kind == "number":
        fitting = st.sampled_from(["0", "0.01", "0.02"])
    elif schema.get("format") == "date-time":
        fitting = st.datetimes().map(lambda time: time.isoformat() + "Z")
    else:
        fitting = ANY_TEXT
    wrong = st.sampled_from(["", " ", "-1", "nan", "1e400", "true,false", "\x00", "9" * 40, "0000", "日本"])
    return st.one_of(fitting, fitting, wrong)


@st.composite
def requests(draw: st.DrawFn, path: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    query: list[tuple[str, str]] = []
    headers: dict[str, str] = {}
    for parameter in parameters:
        name, schema = parameter["name"], parameter["schema"]
        if parameter["in"] == "path":
            text = draw(ANY_TEXT)
            path = path.replace(f"{{{name}}}", quote(text, safe=""))
        elif draw(st.booleans()):
            if parameter["in"] == "header":
                headers[name] = draw(st.text(string.ascii_letters + string.digits + " {}[]\"',:-", max_size=20)).strip()
            elif name == "taskHub":
                query.append((name, draw(HUBS)))
            else:
                texts = draw(st.lists(value(schema.get("items", schema)), min_size=1, max_size=2))
                query += [(name, text) for text in texts if name != "wait" or text not in ("9" * 40, "1e400")]
    kind = draw(TYPES)
    if kind is not None:
        headers["content-type"] = kind
    return {"path": path, "params": query, "headers": headers, "content": draw(BODIES)}


def fits(document: dict[str, Any], schema: dict[str, Any], found: Any) -> bool:
    """Whether a value has the shape that the document gives it."""
    if "$ref" in schema:
        return fits(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], found)
    if "anyOf" in schema:
        return any(fits(document, one, found) for one in schema["anyOf"])
    kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict}
    if "type" in schema and not isinstance(found, kinds[schema["type"]]):
        return False
    if "enum" in schema and found not in schema["enum"]:
        return False
    if isinstance(found, list) and "items" in schema:
        return all(fits(document, schema["items"], item) for item in found)
    if isinstance(found, dict) and "properties" in schema:
        known = schema["properties"]
        return set(schema.get("required", ())) <= set(found) and all(
            name in known and fits(document, known[name], item) for name, item in found.items()
        )
    return True


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, what) for path, item in document["paths"].items() for method, what in item.items()]


def check(host: Host, document: dict[str, Any], method: str, path: str, what: dict[str, Any]) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(requests(path, what["parameters"]))
    def answered(request: dict[str, Any]) -> None:
        to = request.pop("path")
        answer = host.request(method.upper(), WEBHOOK + to, **request)
        told = f"{method} {to} {request}: {answer.status_code} {answer.text[:500]}"
        assert str(answer.status_code) in what["responses"], told
        assert answer.status_code != 503, f"what a client sends is no outage: {told}"
        for header in what["responses"][str(answer.status_code)].get("headers", {}):
            assert header in answer.headers, told
        content = what["responses"][str(answer.status_code)].get("content")
        if content is None:
            assert not answer.content or answer.status_code == 404, told
        elif answer.content or answer.status_code != 404:
            assert answer.headers["content-type"] == "application/json; charset=utf-8", told
            assert fits(document, content["application/json"]["schema"], answer.json()), told

    answered()


def test_every_request_is_answered_as_documented(host: Host, document: dict[str, Any]) -> None:
    for name in ("echo", "waiting", "failing"):
        host.begin_webhook(name, {"x": 1}, name)
    for method, path, what in operations(document):
        check(host, document, method, path, what)
    assert "failed in the host" not in host.log(), host.log()[-3000:]


def test_other_methods_and_paths_are_404(host: Host, document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method not in item and path != "/entities":
                answer = host.request(method.upper(), WEBHOOK + path)
                assert (answer.status_code, answer.content) == (404, b""), f"{method} {path}"


def test_the_document_names_every_parameter_once(document: dict[str, Any]) -> None:
    assert len(operations(document)) == 26
    for method, path, what in operations(document):
        names = [(p["in"], p["name"]) for p in what["parameters"]]
        assert len(names) == len(set(names)), f"{method} {path}"
        for name in [part[1:-1] for part in path.split("/") if part.startswith("{")]:
            assert ("path", name) in names


def test_the_document_has_every_parameter_that_is_read(document: dict[str, Any]) -> None:
    named = {p["name"].lower() for _, _, what in operations(document) for p in what["parameters"]}
    reading = re.compile(r"parameters\.\w+\(\"([^\"]+)\"|headers\.get\(\"([^\"]+)\"")
    for module in (management_api, entity_api):
        read = {(a or b).lower() for a, b in reading.findall(inspect.getsource(module))}
        assert read - named - OF_EVERY_REQUEST == set()


#: the key, what the body is, and where the trace began
OF_EVERY_REQUEST = {"code", "x-functions-key", "content-type", "traceparent"}
