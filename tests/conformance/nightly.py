"""The long comparison: `python -m tests.conformance.nightly [--turns 20000] [--seed N]`. Exit code 1: they differ."""

from __future__ import annotations

import argparse
import logging
import random
import sys

from tests.conformance.oracle import Oracle
from tests.conformance.sweep import sweep
from tests.conformance.world import Disagreement


def main() -> int:
    """Compare, print what was covered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=None, help="repeat a run (default: another one every time)")
    arguments = parser.parse_args()
    seed = random.randrange(1_000_000) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    logging.disable(logging.WARNING)
    with Oracle() as oracle:
        try:
            print(sweep(oracle, seed=seed, turns=arguments.turns, each_pair=20))
        except Disagreement as error:
            print(error)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
