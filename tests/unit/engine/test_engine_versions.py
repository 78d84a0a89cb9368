"""Version comparison and strategies of host-json.md 2.1 and 2.10."""

import pytest

from perdure.engine.versions import VersionRule, compare


@pytest.mark.parametrize(
    ("left", "right", "order"),
    [
        ("", "", 0),
        ("", "1.0", -1),
        ("1.0", "", 1),
        ("1.2", "1.10", -1),
        ("1.0.0", "1.0", 1),
        ("2.0", "2.0", 0),
        ("Beta", "beta", 0),
        ("a", "B", -1),
        ("1.x", "1.10", 1),
    ],
)
def test_versions_compare_as_documented(left, right, order):
    assert compare(left, right) == order
    assert compare(right, left) == -order


@pytest.mark.parametrize(
    ("match", "version", "runs"),
    [
        ("None", "9.0", True),
        ("Strict", "2.0", True),
        ("strict", "1.0", False),
        ("CurrentOrOlder", "1.0", True),
        ("CurrentOrOlder", "", True),
        ("currentOrOlder", "3.0", False),
    ],
)
def test_strategies(match, version, runs):
    assert (VersionRule("2.0", match).refusal(version) is None) is runs


def test_a_refusal_names_both_versions():
    text = VersionRule("1.0").refusal("2.0")
    assert text == (
        "The instance has version '2.0', this host runs version '1.0' and its versionMatchStrategy is CurrentOrOlder."
    )
