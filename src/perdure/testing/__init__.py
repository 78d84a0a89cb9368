"""Tools for tests: virtual time, an in-memory hub, the deterministic simulation, the contract suite of stores."""
