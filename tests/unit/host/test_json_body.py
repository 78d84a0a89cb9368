"""Bodies that should be JSON."""

from __future__ import annotations

import pytest

from perdure.host.http.json_body import json_text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", None),
        (b" \n ", None),
        (b"\xef\xbb\xbf", None),
        (b'\xef\xbb\xbf{"a" : [1, 1e400]}', '{"a":[1,1e400]}'),
        ('"é"'.encode(), '"é"'),
        (b'["\\ud83d", "x"]', '["\\ud83d","x"]'),
    ],
)
def test_what_is_stored(body: bytes, text: str | None) -> None:
    assert json_text(body) == (text, None)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'{"a": 1', "Expecting ',' delimiter: line 1 column 8 (char 7)"),
        (b"[1,\n2", "line 2 column 2"),
        (b"NaN", "NaN is no JSON."),
        (b"-Infinity", "-Infinity is no JSON."),
        (b"{} {}", "Extra data"),
        (b'"\xff"', "invalid start byte"),
        (b"[" * 100_000, "nested too deeply"),
        (b'["\\ud83d", 1e999]', "Out of range float"),
    ],
)
def test_what_is_wrong_is_said(body: bytes, problem: str) -> None:
    text, wrong = json_text(body)
    assert text is None
    assert wrong is not None
    assert problem in wrong
