"""The running hub around the engine: a synchronous core driven by ports."""
