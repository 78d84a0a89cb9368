"""Some hundred seeds of the simulation, in both session modes. A failure prints its seed and the end of its trace."""

from __future__ import annotations

import pytest

from perdure.testing.simulation import World, settings_of, simulate

_CHUNK = 20


@pytest.mark.parametrize("hot", [True, False], ids=["hot sessions", "replay on every turn"])
@pytest.mark.parametrize("first", range(0, 160, _CHUNK))
def test_seeds_keep_the_invariants(first: int, hot: bool) -> None:
    turns = sum(simulate(settings_of(seed, hot=hot)).monitor.turns for seed in range(first, first + _CHUNK))
    assert turns > 50 * _CHUNK


def test_a_seed_replays_exactly() -> None:
    def trace(seed: int) -> list[str]:
        world = World(settings_of(seed))
        world.run()
        return list(world.lines)

    for seed in (3, 8, 42):
        assert trace(seed) == trace(seed)


def test_the_seeds_have_all_clients_and_faults() -> None:
    from perdure.testing.simulation import FAULTS
    from perdure.testing.workloads import CLIENTS

    settings = [settings_of(seed) for seed in range(160)]
    assert {fault for one in settings for fault in one.faults} == set(FAULTS)
    assert {client for one in settings for client in one.clients} == set(CLIENTS)
    assert {one.hosts for one in settings} == {1, 2, 3, 4}


def test_the_monitor_saw_replays_activities_and_turns() -> None:
    world = simulate(settings_of(1))
    assert world.monitor.replayed > 5
    assert world.monitor.activities > 20
    assert world.monitor.turns > 50
