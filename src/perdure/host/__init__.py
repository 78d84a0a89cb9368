"""The composition root: configuration, indexing of user code, worker processes, HTTP, triggers."""
