"""Route templates: matching, constraints, defaults, order, conflicts."""

from __future__ import annotations

import pytest

from perdure.host.functions.routing import RouteError, RouteTable, Template


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("hello", "/hello", {}),
        ("Hello/World", "/hello/WORLD/", {}),
        ("hello", "/hello/x", None),
        ("a/{name}", "/a/b c", {"name": "b c"}),
        ("a/{name}", "/a", None),
        ("a/{name}", "/a//", None),
        ("a/{name?}", "/a", {}),
        ("a/{name?}", "/a/x", {"name": "x"}),
        ("a/{name=you}", "/a", {"name": "you"}),
        ("a/{name=you}", "/a/me", {"name": "me"}),
        ("{a=1}/{b=2}", "/", {"a": "1", "b": "2"}),
        ("{a=1}/{b=2}", "/x", {"a": "x", "b": "2"}),
        ("{a}/{b?}/c", "/x/c", None),
        ("{a}/{b?}/c", "/x/y/c", {"a": "x", "b": "y"}),
        ("files/{*rest}", "/files", {}),
        ("files/{*rest}", "/files/a/b/c.txt", {"rest": "a/b/c.txt"}),
        ("files/{*rest}", "/files/a/", {"rest": "a/"}),
        ("{*route}", "/", {}),
        ("{**route}", "/x/y", {"route": "x/y"}),
        ("{f}.{ext?}", "/a.b.c", {"f": "a.b", "ext": "c"}),
        ("{f}.{ext?}", "/a", {"f": "a"}),
        ("v{major}.{minor}/x", "/v1.2/x", {"major": "1", "minor": "2"}),
        ("", "/", {}),
        ("", "/x", None),
        ("a{{b}}", "/a{b}", {}),
        ("p/{id:int}", "/p/-12", {"id": "-12"}),
        ("p/{id:int}", "/p/2147483648", None),
        ("p/{id:long}", "/p/2147483648", {"id": "2147483648"}),
        ("p/{id:int:min(1)?}", "/p", {}),
        ("p/{id:int:min(1)?}", "/p/0", None),
        ("p/{id:int:min(1)?}", "/p/1", {"id": "1"}),
        ("p/{id:int=5}", "/p", {"id": "5"}),
        ("p/{x:guid}", "/p/12345678-1234-1234-1234-123456789abc", {"x": "12345678-1234-1234-1234-123456789abc"}),
        ("p/{x:guid}", "/p/12345678", None),
        ("p/{x:bool}", "/p/TRUE", {"x": "TRUE"}),
        ("p/{x:datetime}", "/p/2024-02-30", None),
        ("p/{x:datetime}", "/p/2024-02-29T10:00:00Z", {"x": "2024-02-29T10:00:00Z"}),
        ("p/{x:alpha}", "/p/ab1", None),
        ("p/{x:alpha}", "/p/ab", {"x": "ab"}),
        ("p/{x:float}", "/p/1.5e3", {"x": "1.5e3"}),
        ("p/{x:decimal}", "/p/1e3", None),
        ("p/{x:length(2,3)}", "/p/abcd", None),
        ("p/{x:length(3)}", "/p/abc", {"x": "abc"}),
        ("p/{x:minlength(2)}", "/p/a", None),
        ("p/{x:maxlength(2)}", "/p/abc", None),
        ("p/{x:max(9)}", "/p/10", None),
        ("p/{x:range(1,9)}", "/p/9", {"x": "9"}),
        ("p/{x:regex(^\\d{{2}}-[a-z]+$)}", "/p/12-ab", {"x": "12-ab"}),
        ("p/{x:regex(^\\d{{2}}-[a-z]+$)}", "/p/1-ab", None),
        ("p/{x:regex(^(a|b)$)}/y", "/p/b/y", {"x": "b"}),
        ("p/{x:required}", "/p/ ", None),
    ],
)
def test_templates(template: str, path: str, expected: dict[str, str] | None) -> None:
    assert Template(template).match(path) == expected


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("a/{b", "an opening brace without a closing one"),
        ("a//b", "an empty segment"),
        ("{a}/{A}", "the parameter 'a' more than once"),
        ("{*rest}/x", "a catch-all parameter that is not the last one"),
        ("{a:whole}", "the constraint 'whole' is unknown. Known: alpha, bool,"),
        ("{a:min(x)}", r"the constraint 'min\(x\)' has wrong arguments"),
        ("{}", "a parameter without a proper name"),
    ],
)
def test_templates_that_are_refused(template: str, text: str) -> None:
    with pytest.raises(RouteError, match=text):
        Template(template)


def test_first_registered_match_wins() -> None:
    table = RouteTable()
    table.add("Special", "items/special", ["GET"])
    table.add("Any", "items/{id}", ["GET"])
    table.add("Late", "items/late", ["GET"])
    table.add("Post", "items/{id}", ["POST"])
    assert table.match("GET", "/api/items/special") == ("Special", {})
    assert table.match("GET", "/api/items/late") == ("Any", {"id": "late"})
    assert table.match("POST", "/api/items/special") == ("Post", {"id": "special"})
    assert table.match("PUT", "/api/items/special") is None


def test_prefix_and_default_route() -> None:
    table = RouteTable("v1/api")
    table.add("Hello", None, [])
    assert table.match("PATCH", "/V1/Api/HELLO") == ("Hello", {})
    assert table.match("GET", "/hello") is None
    assert table.match("GET", "/v1/apix/hello") is None
    bare = RouteTable("")
    bare.add("Root", "", [])
    assert bare.match("GET", "/") == ("Root", {})


def test_conflicts() -> None:
    table = RouteTable("")
    table.add("One", "x/{a}", ["get"])
    with pytest.raises(RouteError, match="conflicts with the route defined by function 'One'"):
        table.add("Two", "/X/{a}", ["GET", "POST"])
    table.add("Three", "x/{a}", ["POST"])
    with pytest.raises(RouteError, match="conflicts with one or more built in routes"):
        table.add("Four", "Admin/x", [])
