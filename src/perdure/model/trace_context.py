"""W3C trace context of durable work, as one text: the `traceparent` and, after a blank, the `tracestate` if any.

The ids of spans follow from what they are about (instance, generation, task), so whoever comes across the work knows
them: a parent is named correctly also when the host that began it is gone. What is stored with an instance is what its
first span has as parent; where nothing is its parent, the span id is zero. User code only ever sees contexts of spans.
"""

from __future__ import annotations

import re
from hashlib import blake2b

from msgspec import Struct

_TRACE_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_SPAN, _NO_TRACE = "0" * 16, "0" * 32
#: a longer tracestate is left out
_LONGEST_STATE = 512
_RATIO_BITS = 64

#: what the span of a durable operation is about
CREATION, ORCHESTRATION, ACTIVITY = "create", "orchestration", "activity"
TIMER, EVENT, OPERATION = "timer", "event", "operation"


def read(trace_parent: str | None, trace_state: str | None = None) -> str | None:
    """The context that two headers name; None for none, and for what the standard does not allow."""
    match = _TRACE_PARENT.fullmatch(trace_parent or "")
    if match is None:
        return None
    version, trace, span, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or trace == _NO_TRACE or span == _NO_SPAN:
        return None
    return _text(trace, span, bool(int(flags, 16) & 1), trace_state or "")


def root(trace_id: str, sampled: bool) -> str:
    """The context of work that has no parent. `trace_id`: 32 hex digits."""
    return _text(trace_id, _NO_SPAN, sampled, "")


def _text(trace: str, span: str, sampled: bool, state: str) -> str:
    parent = f"00-{trace}-{span}-{'01' if sampled else '00'}"
    fits = 0 < len(state) <= _LONGEST_STATE and state.isascii() and state.isprintable()
    return f"{parent} {state}" if fits else parent


def headers(context: str | None) -> tuple[str, str]:
    """`traceparent` and `tracestate` of a context, empty where there is none."""
    parent, _, state = (context or "").partition(" ")
    return parent, state


def trace_id(context: str) -> str:
    """The id of the trace, 32 hex digits."""
    return context[3:35]


def span_id(context: str) -> str:
    """The id of the span, 16 hex digits; empty for the root."""
    span = context[36:52]
    return "" if span == _NO_SPAN else span


def is_sampled(context: str) -> bool:
    """Whether spans of this trace are wanted."""
    return context[53:55] == "01"


def span(stored: str, kind: str, instance_id: str, n: int, generation: int = 0, task: int = 0) -> str:
    """The context of the span of a durable operation. `stored` is the context stored with its instance or message."""
    key = f"{stored[:52]}/{kind}/{instance_id}/{n}/{generation}/{task}"
    identifier = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{stored[:36]}{identifier}{stored[52:]}"


def orchestration_parent(stored: str, parent_n: int, instance_id: str, n: int) -> str:
    """What the spans of an orchestration's generations hang on: the parent's span, or that of its creation."""
    return stored if parent_n else span(stored, CREATION, instance_id, n)


class Sampling(Struct, frozen=True):
    """Which work is traced. `ratio` of the traces that begin here, by trace id; `by_parent`: what comes in with a
    context keeps its decision. With `roots` False nothing begins here: only what comes with a context is traced."""

    ratio: float = 1.0
    by_parent: bool = True
    roots: bool = True

    def entering(self, context: str | None, new_trace_id: str) -> str | None:
        """The context to store with work that enters the hub with `context`."""
        if context is None:
            return root(new_trace_id, self._decides(new_trace_id)) if self.roots else None
        if self.by_parent:
            return context
        parent, state = headers(context)
        return _text(trace_id(parent), parent[36:52], self._decides(trace_id(parent)), state)

    def _decides(self, trace: str) -> bool:
        return int(trace[16:], 16) < round(self.ratio * (1 << _RATIO_BITS))
