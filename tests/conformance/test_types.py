"""What a type checker knows of calls: results of activities, through their decorator."""

from __future__ import annotations

from pathlib import Path

import pytest

_APP = """
import perdure as df

app = df.DFApp()

@app.activity_trigger(input_name="x")
def plain(x: int) -> str: ...

@app.activity_trigger(input_name="x")
async def later(x: int) -> list[int]: ...

@app.orchestration_trigger(context_name="context")
async def orchestrator(context: df.DurableOrchestrationContext) -> None:
    reveal_type(await context.call_activity(plain, 1))
    reveal_type(await context.call_activity(later, 1))
    reveal_type(await context.call_activity("plain", 1))
    reveal_type(plain(1))
    plain.build().get_user_function()
    plain("no number")
"""


def test_results_of_activities_have_the_types_of_their_functions(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api")
    (tmp_path / "app.py").write_text(_APP)
    options = ["--strict", "--config-file=", "--follow-imports=silent", f"--cache-dir={tmp_path}"]
    said, failed, _ = api.run([*options, "--allow-empty-bodies", str(tmp_path / "app.py")])
    assert not failed
    revealed = [line.rpartition("is ")[2].strip('"') for line in said.splitlines() if "Revealed" in line]
    assert revealed == ["str", "list[int]", "Any", "str"]
    assert 'has incompatible type "str"; expected "int"' in said
