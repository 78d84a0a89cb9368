"""What the files under `deploy/` ask for is there: commands, probes, the figure that an autoscaler reads."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.acceptance.host import APPS, ROOT, Host

DEPLOY = ROOT / "deploy"


def command(text: str, instruction: str) -> list[str]:
    """The arguments of an instruction of the Dockerfile."""
    found = re.search(rf"^(?:{instruction})[^\[]*(\[.*\])$", text.replace("\\\n", ""), re.MULTILINE)
    assert found is not None
    arguments: list[str] = json.loads(found[1])
    return arguments


def test_the_image_starts_and_is_healthy(new_host: Callable[..., Host], tmp_path: Path) -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    program, verb, *flags = command(text, "CMD")
    assert (program, verb) == ("perdure", "start")
    at = flags.index("--port")
    assert flags.pop(at) == "--port" and flags.pop(at) == "7071"
    (tmp_path / "state").mkdir()
    settings = {"PERDURE_STORE": f"sqlite:///{tmp_path}/state/hub.db", "HOST_NAME": "one", "RUNS_FILE": "/dev/null"}
    host = new_host(APPS / "cluster", settings=settings, args=tuple(flags))
    # the script root is named by its variable, wherever the process stands
    host.settings["AzureWebJobsScriptRoot"], host.app = str(host.app), tmp_path
    host.start()
    program, *arguments = command(text, "HEALTHCHECK")
    assert program == "python"
    check = [sys.executable, *(argument.replace(":7071", f":{host.port}") for argument in arguments)]
    assert subprocess.run(check, check=False).returncode == 0
    assert (tmp_path / "state" / "hub.db").exists()
    assert host.stop() == 0
    assert subprocess.run(check, check=False, stderr=subprocess.DEVNULL).returncode != 0


def test_probes_and_scale_signals_are_where_the_manifest_looks(new_host: Callable[..., Host]) -> None:
    text = (DEPLOY / "kubernetes.yaml").read_text()
    host = new_host(APPS / "cluster", settings={"HOST_NAME": "one", "RUNS_FILE": "/dev/null"}).start()
    probes = re.findall(r"httpGet: \{path: (\S+), port: 7071\}", text)
    assert len(probes) == 3
    for path in probes:
        assert host.get(path).status_code == 200, path
    (url,) = re.findall(r"url: http://[^/]+(/\S+)", text)
    (place,) = re.findall(r"valueLocation: (\S+)", text)
    answer: dict[str, Any] = host.get(url).json()
    assert answer[place] == 1
