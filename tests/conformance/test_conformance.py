"""Our replay against the published executor, on generated orchestrators (see `world`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.oracle import Oracle
from tests.conformance.programs import PAIRS, Program
from tests.conformance.sweep import sweep
from tests.conformance.world import Disagreement, World


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    with Oracle() as process:
        yield process


def test_every_pair_of_constructs_agrees_with_the_published_executor(
    oracle: Oracle, record_property: Callable[[str, object], None]
) -> None:
    coverage = sweep(oracle, seed=20, turns=400, each_pair=20)
    record_property("shown", f"conformance: {coverage}")
    assert min(coverage.pairs[pair] for pair in PAIRS) >= 20
    assert coverage.long_runs * 2 >= coverage.programs
    for what in (
        "failure",
        "out of order",
        "event before wait",
        "event after wait",
        "duplicate",
        "result while not awaited",
        "continue_as_new",
    ):
        assert coverage.seen[what] >= 10, what
    assert coverage.seen["timer cancelled"] >= 5


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False), st.lists(st.sampled_from(PAIRS), min_size=1, max_size=3))
def test_generated_orchestrators_agree_with_the_published_executor(
    oracle: Oracle, random: Random, wanted: list[tuple[str, str]]
) -> None:
    World(Program(random, wanted), random, oracle).run()


def test_a_disagreement_is_found_and_shrunk(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault (task_all gives its results in order of completion) is caught and shown as source and history."""
    from perdure.sdk.compound_tasks import WhenAllTask
    from perdure.sdk.tasks import RUNNING, SUCCEEDED

    sound = WhenAllTask.child_settled

    def faulty(self: WhenAllTask, child: object) -> bool:
        settled = sound(self, child)  # type: ignore[arg-type]
        if settled and self.state is SUCCEEDED and self.state is not RUNNING:
            self._value = [done._value for done in self._completed]
        return settled

    monkeypatch.setattr(WhenAllTask, "child_settled", faulty)
    with pytest.raises(Disagreement) as caught:
        sweep(oracle, seed=1, turns=2000, each_pair=1)
    text = str(caught.value)
    assert "--- the orchestrator\ndef orchestrator(context):" in text
    assert "task_all" in text
    assert '--- its history\n{"EventType": 12' in text
