"""Metrics of a real host, read as Prometheus reads them, against what was run."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.host import APPS, ROOT, WEBHOOK, Host, eventually
from tests.postgres_server import PostgresServer

METRICS = "/runtime/metrics"


class Scrape:
    """One scrape, parsed."""

    def __init__(self, host: Host) -> None:
        answer = host.get(METRICS)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/plain; version=")
        self.families = {family.name: family for family in text_string_to_metric_families(answer.text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of the samples with these labels among theirs."""
        return sum(s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items())

    def values(self, label: str) -> set[str]:
        return {sample.labels[label] for sample in self.samples if label in sample.labels}


def test_what_was_run_is_what_is_counted(new_host: Callable[..., Host]) -> None:
    host = new_host(APPS / "observed").start()
    first = Scrape(host)
    assert first("perdure_turns_total") == first("perdure_starts_total") == 0
    for _ in range(3):
        assert host.completed(host.begin("/api/start/Steps", 2)["id"]) == "done"
    for name in ("failing", "FAILING"):
        assert host.completed(host.begin(f"/api/start/{name}", 0)["id"]) == "caught"
    assert host.completed(host.begin("/api/start/Again", 2)["id"]) == 0
    whole = host.begin("/api/start/Whole", 0)["id"]
    eventually(lambda: host.status(f"{whole}-child"), what="the child")
    host.post(f"{WEBHOOK}/instances/{whole}/raiseEvent/go", 1)
    host.completed(whole)
    waiting = host.begin("/api/start/Shaped", 0)["id"]
    eventually(lambda: Scrape(host)("perdure_turns_total", function="Shaped") == 2, what="the wait")
    ended = host.begin("/api/start/Shaped", 0)["id"]
    host.post(f"{WEBHOOK}/instances/{ended}/terminate")
    host.finished(ended)
    seen = Scrape(host)
    assert seen("perdure_starts_total", function="Steps", source="client") == 3
    assert seen("perdure_starts_total", function="Failing", source="client") == 2
    assert seen("perdure_starts_total", function="Child", source="orchestration") == 1
    assert seen("perdure_starts_total") == 3 + 2 + 1 + 2 + 2
    assert seen("perdure_turns_total", function="Steps", kind="orchestration") == 3 * 3
    assert seen("perdure_turns_total", kind="entity") == 2
    assert seen("perdure_ends_total", function="Steps", outcome="completed") == 3
    assert seen("perdure_ends_total", function="Again", outcome="continued_as_new") == 2
    assert seen("perdure_ends_total", function="Again", outcome="completed") == 1
    assert seen("perdure_ends_total", outcome="terminated") == 1
    assert seen("perdure_activity_attempts_total", function="Boom", outcome="failed") == 2
    assert seen("perdure_activity_attempts_total", function="Boom") == 2
    told = 3 * 2 + 3 + 3 + seen("perdure_turns_total", function="Shaped") - 3
    assert seen("perdure_activity_attempts_total", function="Tell", outcome="completed") in (told, told + 1)
    assert seen("perdure_activity_seconds_count", function="Boom") == 2
    assert seen("perdure_turn_seconds_count") == seen("perdure_turns_total")
    assert seen("perdure_turn_seconds_bucket", le="+Inf") == seen("perdure_turns_total")
    assert 0 < seen("perdure_commit_seconds_sum") < 60
    assert seen("perdure_commit_seconds_count") > 10
    assert seen("perdure_replays_total") == seen("perdure_parked_instances") == 0
    assert seen("perdure_sessions") == 1
    assert seen("perdure_worker_processes") == 1
    assert seen("perdure_activities_running") == seen("perdure_turns_running") == 0
    assert seen("process_cpu_seconds_total") > 0
    # labels are bounded, and never name an instance
    assert seen.values("hub") == {"TestHubName"}
    functions = {"Steps", "Failing", "Again", "Whole", "Child", "Shaped", "Tell", "Boom", "Counter"}
    assert seen.values("function") <= functions
    assert not any(whole in value for sample in seen.samples for value in sample.labels.values())

    host.kill()
    host.settings["SHAPE"] = "2"
    host.start()
    assert Scrape(host)("perdure_turns_total") == 0
    host.post(f"{WEBHOOK}/instances/{waiting}/raiseEvent/go", 1)
    eventually(lambda: Scrape(host)("perdure_parked_instances") == 1, what="the parking")
    assert Scrape(host)("perdure_parkings_total", function="Shaped") == 1
    host.delete(f"{WEBHOOK}/instances/{waiting}")
    eventually(lambda: Scrape(host)("perdure_parked_instances") == 0, what="the purge")


def test_a_restart_counts_its_replays(new_host: Callable[..., Host]) -> None:
    host = new_host(APPS / "observed").start()
    waiting = [host.begin("/api/start/Shaped", 0)["id"] for _ in range(3)]
    eventually(lambda: Scrape(host)("perdure_turns_total", function="Shaped") == 6, what="the wait")
    host.kill()
    host.start()
    for instance_id in waiting:
        host.post(f"{WEBHOOK}/instances/{instance_id}/raiseEvent/go", 1)
        host.completed(instance_id)
    assert Scrape(host)("perdure_replays_total", function="Shaped") == 3


def test_a_scraper_may_ask_for_open_metrics(new_host: Callable[..., Host]) -> None:
    host = new_host(APPS / "observed").start()
    answer = host.get(METRICS, headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert "perdure_turns" in {family.name for family in open_metrics(answer.text)}
    assert host.post(METRICS).status_code == 405


def test_the_documented_metrics_are_the_ones_there_are(new_host: Callable[..., Host]) -> None:
    host = new_host(APPS / "observed").start()
    host.completed(host.begin("/api/start/Child", 0)["id"])
    text = (ROOT / "docs" / "telemetry.md").read_text()
    rows = re.findall(r"^\| `(perdure_\w+)` \|([^|]*)\|", text, re.MULTILINE)
    documented = {name: set(re.findall(r"\w+", labels)) for name, labels in rows}
    families = {
        name + ("_total" if family.type == "counter" else ""): family.samples
        for name, family in Scrape(host).families.items()
        if name.startswith("perdure_")
    }
    assert set(documented) == set(families)
    for name, samples in families.items():
        for sample in samples:
            assert set(sample.labels) - {"hub", "le"} == documented[name], name


def test_without_the_extra_there_is_a_hint(new_host: Callable[..., Host], tmp_path: Path) -> None:
    # a module that cannot be found, as where the extra is not installed
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: None if name == 'prometheus_client' else find(name, *more)\n"
    )
    host = new_host(APPS / "observed", settings={"PYTHONPATH": str(tmp_path)}).start()
    answer = host.get(METRICS)
    assert answer.status_code == 404
    assert answer.text == "Metrics need the package prometheus-client. Install it: pip install perdure[metrics]\n"
    assert host.completed(host.begin("/api/start/Steps", 1)["id"]) == "done"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = PostgresServer(fsync=True)
    server.make()
    yield server
    server.remove()


def test_hosts_of_one_hub_count_their_own_work_and_tell_the_same_backlog(
    new_host: Callable[..., Host], server: PostgresServer
) -> None:
    settings = {
        "AzureFunctionsJobHost__extensions__durableTask__maxConcurrentActivityFunctions": "1",
        "AzureFunctionsJobHost__extensions__perdure__hostTtl": "00:00:03",
    }
    with server.database() as url:
        hosts = [new_host(APPS / "observed", settings={**settings, "PERDURE_STORE": url}).start() for _ in range(2)]
        # a host asks who else is there three times in a TTL
        time.sleep(1.2)
        slow = [hosts[0].begin("/api/start/Whole", 30)["id"] for _ in range(5)]
        for host in hosts:

            def waits(host: Host = host) -> bool:
                seen = Scrape(host)
                open_ones = [seen("perdure_backlog_activities", state=state) for state in ("waiting", "running")]
                return open_ones == [3, 2] and seen("perdure_hosts") == 2 and seen("perdure_activities_running") == 1

            eventually(waits, what="both hosts at work")
            seen = Scrape(host)
            assert 0 < seen("perdure_oldest_message_seconds") < 20
        assert sum(Scrape(host)("perdure_starts_total") for host in hosts) == len(slow)
        assert Scrape(hosts[0])("perdure_starts_total", source="client") == len(slow)
        for host in hosts:
            host.kill()
