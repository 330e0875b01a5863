"""The persistent map, by example; its laws stand in tests/properties."""

from __future__ import annotations

import pytest

from xworkflow.domain.persistent import PersistentMap


def test_setting_gives_a_new_version_and_keeps_the_old_one() -> None:
    old = PersistentMap({"a": 1})
    new = old.set("a", 2).set("b", 3)
    assert dict(new) == {"a": 2, "b": 3}
    assert dict(old) == {"a": 1}


def test_removing_what_is_not_there_gives_the_same_version() -> None:
    one = PersistentMap({"a": 1})
    assert one.without("b") is one
    assert dict(one.without("a")) == {}
    assert dict(one) == {"a": 1}


def test_two_versions_may_grow_from_one() -> None:
    trunk = PersistentMap({"a": 1})
    left, right = trunk.set("b", 2), trunk.set("c", 3)
    assert (dict(left), dict(right)) == ({"a": 1, "b": 2}, {"a": 1, "c": 3})


def test_it_does_not_follow_the_dict_that_it_was_made_from() -> None:
    source = {"a": 1}
    made = PersistentMap(source)
    source["a"] = 2
    assert made["a"] == 1


def test_a_value_may_be_none_and_still_be_there() -> None:
    old: PersistentMap[int | None] = PersistentMap({"a": None})
    new = old.set("a", 1)
    assert "a" in old
    assert old["a"] is None
    assert new["a"] == 1


def test_a_missing_key_raises_and_get_has_a_default() -> None:
    empty: PersistentMap[int] = PersistentMap()
    assert empty.get("a") is None
    assert empty.get("a", 5) == 5
    with pytest.raises(KeyError):
        empty["a"]


def test_it_equals_any_mapping_of_the_same_items() -> None:
    assert PersistentMap({"a": 1}) == {"a": 1}
    assert PersistentMap({"a": 1}) == PersistentMap({"a": 1})
    assert PersistentMap({"a": 1}) != {"a": 2}
    assert PersistentMap({"a": 1}) != 1


def test_it_has_no_hash_and_shows_its_items() -> None:
    assert repr(PersistentMap({"a": 1})) == "PersistentMap({'a': 1})"
    with pytest.raises(TypeError, match="unhashable"):
        hash(PersistentMap[int]())


def test_ten_thousand_versions_back_still_reads() -> None:
    first: PersistentMap[int] = PersistentMap({"a": -1})
    newest = first
    for number in range(10_000):
        newest = newest.set("a", number)
    assert newest["a"] == 9_999
    assert first["a"] == -1
