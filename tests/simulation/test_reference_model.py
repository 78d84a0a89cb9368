"""Random orchestrators through the real engine give what a direct interpretation of the same program gives."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure.testing.client_scripts import Client, Sender
from perdure.testing.program import Step, events_of, expected
from perdure.testing.simulation import FAULTS, Settings, simulate
from perdure.testing.workloads import run_program

numbers = st.integers(0, 999)


def retries(most_failures: int) -> st.SearchStrategy[Step]:
    """Activities with retries that fail at most all but `most_failures` attempts."""
    return st.integers(1, 3).flatmap(
        lambda n: st.tuples(st.just("retry"), numbers, st.integers(0, n + most_failures), st.just(n)).map(list)
    )


def verb(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(name), *arguments).map(list)


event_names = st.integers(0, 10**9).map(lambda number: f"e{number}")
leaves = st.one_of(verb("act", numbers), retries(-1), verb("timer", st.sampled_from([0, 1, 3600])))
waits = st.one_of(leaves, verb("event", event_names, numbers))
alone = st.one_of(
    waits,
    retries(0),
    verb("fail", numbers),
    verb("any", st.lists(numbers, min_size=1, max_size=3)),
    verb("race", st.just(86400), numbers),
    verb("broken", numbers),
    verb("guid"),
    verb("status", numbers),
)
children = st.lists(st.one_of(leaves, verb("fail", numbers), verb("guid")), max_size=3)
together = st.recursive(
    st.lists(st.one_of(waits, verb("sub", children)), max_size=4).map(lambda steps: ["all", steps]),
    lambda inner: st.lists(st.one_of(waits, inner), max_size=3).map(lambda steps: ["all", steps]),
    max_leaves=4,
)
programs = st.lists(st.one_of(alone, together, verb("again"), verb("sub", children)), min_size=1, max_size=6).filter(
    lambda steps: len({name for name, _ in events_of(steps)}) == sum(1 for _ in events_of(steps))
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(
    steps=programs,
    seed=st.integers(0, 2**32),
    hosts=st.integers(1, 3),
    hot=st.booleans(),
    faults=st.sets(st.sampled_from(FAULTS)).map(lambda chosen: tuple(sorted(chosen))),
)
def test_the_engine_gives_what_the_model_gives(
    steps: list[Step], seed: int, hosts: int, hot: bool, faults: tuple[str, ...]
) -> None:
    def script(name: str, random: Random, sender: Sender) -> Client:
        return run_program(steps, name, random)

    simulate(Settings(seed, hosts, (), faults, hot, limit=90_000.0, faults_end=60.0), script)


def test_the_model_interprets_directly() -> None:
    steps: list[Step] = [
        ["act", 1],
        ["all", [["act", 2], ["event", "e", 5], ["all", []]]],
        ["again"],
        ["retry", 3, 2, 2],
        ["sub", [["fail", 1], ["guid"]]],
    ]
    assert expected(steps) == [4, [7, 5, []], "failed", ["failed", 36]]
