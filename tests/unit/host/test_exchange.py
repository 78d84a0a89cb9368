"""Where a request says that it came to: the origin of links."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.host.http.exchange import Request


def origin(forwarded: bool = True, server: Any = ("10.0.0.1", 7071), **headers: str) -> str:
    async def receive() -> Any:
        raise AssertionError("not read")

    pairs = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {
        "type": "http", "method": "GET", "scheme": "http", "path": "/", "raw_path": b"/", "query_string": b"",
        "headers": pairs, "server": server,
    }  # fmt: skip
    return Request(scope, receive, 100).origin(forwarded)


def test_the_host_header() -> None:
    assert origin(host="a.example:8080") == "http://a.example:8080"
    assert origin(host="[::1]:80") == "http://[::1]:80"


def test_forwarded_headers_count_both_or_not_at_all() -> None:
    both = {"x_forwarded_host": "pub.example:8443, inner", "x_forwarded_proto": "https, http"}
    assert origin(host="a", **both) == "https://pub.example:8443"
    assert origin(False, host="a", **both) == "http://a"
    assert origin(host="a", x_forwarded_host="pub.example") == "http://a"
    assert origin(host="a", x_forwarded_proto="https") == "http://a"


@pytest.mark.parametrize("host", ["", "b\xfccher.example", "a/b", "a b", 'a"'])
def test_what_is_no_host_is_never_in_a_link(host: str) -> None:
    assert origin(host=host) == "http://10.0.0.1:7071"
    assert origin(host="a", x_forwarded_host=host, x_forwarded_proto="https") == "http://a"
    assert origin(host="a", x_forwarded_host="b", x_forwarded_proto="java script") == "http://a"
    assert origin(host=host, server=("::1", 80)) == "http://[::1]:80"
