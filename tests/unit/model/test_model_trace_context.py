"""Trace contexts: what is read, what is passed on, which spans there are, what is sampled."""

from __future__ import annotations

import pytest

from perdure.model.codec import decode_tags, encode_tags
from perdure.model.trace_context import (
    ACTIVITY,
    ORCHESTRATION,
    Sampling,
    headers,
    is_sampled,
    read,
    root,
    span,
    span_id,
    trace_id,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


def test_a_context_is_both_headers() -> None:
    assert read(PARENT) == PARENT
    assert read(PARENT, "a=1,b=2") == f"{PARENT} a=1,b=2"
    assert headers(read(PARENT, "a=1, b=2")) == (PARENT, "a=1, b=2")
    assert headers(read(PARENT)) == (PARENT, "")
    assert headers(None) == ("", "")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "nonsense",
        PARENT.upper(),
        PARENT[:-1],
        f"{PARENT}-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
    ],
)
def test_what_the_standard_does_not_allow_is_no_context(text: str | None) -> None:
    assert read(text, "a=1") is None


def test_later_versions_are_read_as_this_one() -> None:
    assert read(f"01-{TRACE}-{SPAN}-03-more") == PARENT
    assert read(f"00-{TRACE}-{SPAN}-fe") == f"00-{TRACE}-{SPAN}-00"


@pytest.mark.parametrize("state", ["x" * 513, "ä=1", "a=1\n"])
def test_a_state_that_cannot_be_passed_on_is_left_out(state: str) -> None:
    assert read(PARENT, state) == PARENT


def test_spans_of_one_trace_have_ids_of_their_own_that_follow_from_the_work() -> None:
    stored = f"{PARENT} a=1"
    contexts = {
        span(stored, kind, instance, n, generation, task)
        for kind in (ORCHESTRATION, ACTIVITY)
        for instance in ("a", "b")
        for n in (1, 2)
        for generation in (0, 1)
        for task in (0, 1)
    }
    assert len(contexts) == 32
    assert all(read(*headers(one)) == one and trace_id(one) == TRACE for one in contexts)
    assert all(headers(one)[1] == "a=1" and is_sampled(one) for one in contexts)
    assert span(stored, ACTIVITY, "a", 1, 0, 3) == span(stored, ACTIVITY, "a", 1, 0, 3)
    # two callers of one trace may start the same in two hubs
    other = stored.replace(SPAN, SPAN[::-1])
    assert span(other, ACTIVITY, "a", 1) != span(stored, ACTIVITY, "a", 1)
    # hosts of different releases must agree
    assert span_id(span(stored, ACTIVITY, "a", 1, 0, 3)) == "d7f6b2dd6c84aeab"


def test_what_begins_here_has_a_trace_and_no_parent() -> None:
    begun = Sampling().entering(None, TRACE)
    assert begun == root(TRACE, True)
    assert begun is not None and span_id(begun) == "" and read(*headers(begun)) is None
    assert Sampling(roots=False).entering(None, TRACE) is None
    assert Sampling(roots=False).entering(PARENT, TRACE) == PARENT


def test_the_decision_of_the_caller_counts_unless_told_otherwise() -> None:
    quiet = f"00-{TRACE}-{SPAN}-00 a=1"
    assert Sampling().entering(quiet, "") == quiet
    assert Sampling(0.0).entering(PARENT, "") == PARENT
    assert Sampling(1.0, by_parent=False).entering(quiet, "") == f"{PARENT} a=1"
    assert Sampling(0.0, by_parent=False).entering(PARENT, "") == f"00-{TRACE}-{SPAN}-00"


def test_a_part_is_chosen_by_trace() -> None:
    ids = [f"{number * 0x9E3779B97F4A7C15 % 2**64:032x}" for number in range(1, 2001)]
    chosen = [one for one in ids if is_sampled(Sampling(0.25).entering(None, one) or "")]
    assert 400 < len(chosen) < 600
    assert all(is_sampled(Sampling(0.5).entering(None, one) or "") for one in chosen)
    assert not any(is_sampled(Sampling(0.0).entering(None, one) or "") for one in ids)


def test_the_context_lies_among_the_tags_and_is_none_of_them() -> None:
    assert encode_tags(None, None) is None
    assert encode_tags({}, None) is None
    assert decode_tags(None) == (None, None)
    assert decode_tags(encode_tags({"k": "v"}, None)) == ({"k": "v"}, None)
    assert decode_tags(encode_tags({"k": "v"}, PARENT)) == ({"k": "v"}, PARENT)
    assert decode_tags(encode_tags(None, PARENT)) == (None, PARENT)
