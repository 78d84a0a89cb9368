"""Which ids instances and entities may have."""

from __future__ import annotations

import pytest

from perdure.model.instance import bad_entity_id, bad_instance_id


@pytest.mark.parametrize("instance_id", ["a", "a b+c%é€:@", "x" * 256, "😀" * 256, " "])
def test_ids_that_may_be(instance_id: str) -> None:
    assert bad_instance_id(instance_id) is None
    assert bad_entity_id(f"@n@{instance_id}") is None


@pytest.mark.parametrize(
    ("instance_id", "text"),
    [
        ("@a@b", "must not start with '@'"),
        ("x" * 257, "must not be longer than 256 characters; this one has 257"),
        ("a/b", "found '/'"),
        ("a\\b", "found '\\\\'"),
        ("a#", "found '#'"),
        ("a?", "found '?'"),
        ("a\n", "found '\\n'"),
        ("a\x85", "found '\\x85'"),
        ("\ufffd", "found what is not UTF-8"),
    ],
)
def test_ids_that_may_not_be(instance_id: str, text: str) -> None:
    found = bad_instance_id(instance_id)
    assert found is not None
    assert found.startswith("Instance IDs must not")
    assert text in found


def test_ids_of_entities() -> None:
    assert bad_entity_id("@counter@") is None
    assert bad_entity_id("@counter@a@b") is None
    for entity in ("counter", "@counter", "counter@a", "@@a", "", "x" * 1000):
        found = bad_entity_id(entity)
        assert found is not None
        assert found.endswith("names no entity. Expected @name@key.")
    assert bad_entity_id("@counter@a/b") == (
        "Entity keys must not contain '/', '\\', '#', '?' or control characters; found '/'."
    )
    assert bad_entity_id("@n@" + "k" * 600) == ("Entity keys must not be longer than 509 characters; this one has 600.")
