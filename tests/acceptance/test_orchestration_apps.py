"""Retries, sub-orchestrations and durable HTTP."""

from __future__ import annotations

from tests.acceptance.conftest import NewHost
from tests.acceptance.host import WEBHOOK


def test_retries_end_in_success_and_a_new_fan_out_follows(new_host: NewHost, sessions: dict[str, str]) -> None:
    host = new_host("retries", settings=sessions).start()
    parcels = [{"name": "slow", "failures": 3}, {"name": "quick", "failures": 0}, {"name": "late", "failures": 1}]
    assert host.completed(host.begin("/api/deliveries", parcels)["id"]) == {
        "first": "quick",
        "thanked": ["thank you, slow", "thank you, quick", "thank you, late"],
    }


def test_retries_that_are_used_up_fail_with_the_last_error(new_host: NewHost) -> None:
    host = new_host("retries").start()
    parcels = [{"name": "never", "failures": 99}, {"name": "quick", "failures": 0}]
    output = host.completed(host.begin("/api/deliveries", parcels)["id"])
    assert output == {
        "first": "quick",
        "failed": "Activity function 'deliver' failed:  ConnectionError: nobody at home for never",
    }


def test_sub_orchestrations_and_their_own_status(new_host: NewHost, sessions: dict[str, str]) -> None:
    host = new_host("sub_orchestrations", settings=sessions).start()
    links = host.begin("/api/tours", ["Rome", "Milan", "Bari"])
    assert host.completed(links["id"]) == {"distances": [2, 2], "total": 4, "dead_end": True}
    child = host.status(f"{links['id']}-1")
    assert child is not None
    assert (child["name"], child["runtimeStatus"], child["output"]) == ("leg", "Completed", 2)
    listed = host.get(f"{WEBHOOK}/instances", params={"instanceIdPrefix": links["id"]}).json()
    assert {item["instanceId"] for item in listed} >= {links["id"], f"{links['id']}-0", f"{links['id']}-1"}


def test_durable_http_polls_until_the_work_is_done(new_host: NewHost) -> None:
    host = new_host("durable_http").start()
    links = host.begin("/api/prints/poster")
    assert host.completed(links["id"]) == {
        "status": 200,
        "said": {"job": "poster", "printed": True},
        "missing": 404,
    }
