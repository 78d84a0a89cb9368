"""Runs in a process of its own: answers trigger payloads with the executor of the published package.

One JSON object per line in, one out: `{"source", "payload"}` gives `{"answer"}` or `{"error"}`. The source defines
`orchestrator`, in the namespace that `programs.namespace` describes.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from datetime import timedelta

import azure.durable_functions as df


def main() -> None:
    """Serve until the input ends."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    assert "perdure" not in (df.__file__ or "perdure"), "this is not the published package"
    handles: dict[str, object] = {}
    for line in sys.stdin:
        request = json.loads(line)
        source = request["source"]
        if source not in handles:
            handles.clear()
            names = {"EntityId": df.EntityId, "RetryOptions": df.RetryOptions, "timedelta": timedelta}
            exec(compile(source, "<orchestrator>", "exec"), names)
            handles[source] = df.Orchestrator.create(names["orchestrator"])
        try:
            answer = {"answer": handles[source](json.dumps(request["payload"]))}
        except Exception as error:
            answer = {"error": str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
