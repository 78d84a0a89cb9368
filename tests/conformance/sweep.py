"""Many programs in many worlds: covers every pair of constructs, counts what happened, shrinks what disagrees."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from tests.conformance.oracle import Oracle
from tests.conformance.programs import PAIRS, Program
from tests.conformance.world import Disagreement, World

PAIRS_PER_PROGRAM = 3


@dataclass
class Coverage:
    """What a sweep has met."""

    programs: int = 0
    turns: int = 0
    long_runs: int = 0
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)

    def rarest(self) -> list[tuple[str, str]]:
        """All pairs, those met least often first."""
        return sorted(PAIRS, key=lambda pair: self.pairs[pair])

    def add(self, program: Program, world: World) -> None:
        self.programs += 1
        self.turns += world.turns
        self.long_runs += world.turns >= 4
        self.pairs.update(pair for pair in program.pairs)
        self.seen.update(world.seen)

    def __str__(self) -> str:
        least, count = min(((pair, self.pairs[pair]) for pair in PAIRS), key=lambda entry: entry[1])
        seen = ", ".join(f"{what} {number}" for what, number in sorted(self.seen.items()))
        long = 100 * self.long_runs // max(1, self.programs)
        return (
            f"{self.programs} programs, {self.turns} turns, {long}% of the runs "
            f"four turns or longer; {len(PAIRS)} pairs of constructs, each at least {count} times (least: {least[1]} "
            f"inside {least[0]}); {seen}"
        )


def sweep(oracle: Oracle, *, seed: int, turns: int, each_pair: int) -> Coverage:
    """Run programs until `turns` turns were compared and every pair was met `each_pair` times.

    Raises `Disagreement` with a shrunk program and its history.
    """
    coverage = Coverage()
    number = 0
    while coverage.turns < turns or min(coverage.pairs[pair] for pair in PAIRS) < each_pair:
        number += 1
        wanted = coverage.rarest()[:PAIRS_PER_PROGRAM]
        case = f"{seed}.{number}"
        try:
            _run(oracle, case, wanted, coverage)
        except Disagreement as error:
            raise Disagreement(f"case {case}, shrunk\n{shrink(oracle, case, wanted) or error}") from None
    return coverage


def _run(oracle: Oracle, case: str, wanted: list[tuple[str, str]], coverage: Coverage | None = None) -> None:
    program = Program(Random(case), wanted)
    world = World(program, Random(case + "w"), oracle)
    world.run()
    if coverage is not None:
        coverage.add(program, world)


def shrink(oracle: Oracle, case: str, wanted: list[tuple[str, str]], tries: int = 60) -> Disagreement | None:
    """The shortest disagreement found among programs with fewer constructs and other random numbers."""
    best: Disagreement | None = None
    candidates = [[pair] for pair in wanted] + [wanted[:2], wanted[1:], wanted]
    for attempt in range(tries):
        for smaller in candidates:
            try:
                _run(oracle, f"{case}.{attempt}", smaller)
            except Disagreement as error:
                if best is None or len(str(error)) < len(str(best)):
                    best = error
    return best
