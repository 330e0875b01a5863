"""The variable pool (spec/graph.md 3.1, 3.5)."""

from __future__ import annotations

import pytest

from xworkflow.domain.pool import VariablePool, file_attribute, file_category
from xworkflow.domain.values import JsonValue, to_file

POOL = VariablePool(
    {
        "n": {"x": {"list": [1, {"y": 2}], "null": None}, "text": "abc", "zero": 0},
        "start": {"sys.query": "hi"},
    }
)
FILE = to_file({"name": "cat.png", "mime_type": "image/png", "size": 3, "id": "f-1"})


@pytest.mark.parametrize(
    ("selector", "value"),
    [
        (("n", "text"), "abc"),
        (("n", "missing"), None),
        (("missing", "text"), None),
        (("start", "sys.query"), "hi"),
        (("n", "x", "list"), [1, {"y": 2}]),
        (("n", "x", "list", "0"), 1),
        (("n", "x", "list", "1", "y"), 2),
        (("n", "x", "list", "2"), None),
        (("n", "x", "list", "-1"), None),
        (("n", "x", "missing", "deeper"), None),
        (("n", "text", "0"), None),
        (("n", "zero", "x"), None),
    ],
)
def test_a_selector_reads_down_into_objects_and_lists(
    selector: tuple[str, ...], value: JsonValue
) -> None:
    assert POOL.get(selector) == value


@pytest.mark.parametrize("part", ["²", "٣", "9" * 5_000, "1.0", " 1", ""])
def test_what_only_looks_like_a_list_index_reads_as_null(part: str) -> None:
    assert POOL.get(("n", "x", "list", part)) is None


def test_has_means_present_and_not_null() -> None:
    assert POOL.has(("n", "zero"))
    assert not POOL.has(("n", "x", "null"))
    assert not POOL.has(("n", "missing"))


def test_a_namespace_that_is_not_there_is_empty() -> None:
    assert POOL.namespace("missing") == {}


def test_writing_makes_the_way_to_a_deep_place() -> None:
    written = VariablePool().set(("n", "x", "a", "b"), 1)
    assert written.get(("n", "x")) == {"a": {"b": 1}}


def test_writing_deep_keeps_what_stands_beside_and_replaces_what_is_no_object() -> None:
    pool = VariablePool({"n": {"x": {"a": 1, "b": {"c": 2}}, "text": "abc"}})
    assert pool.set(("n", "x", "b", "d"), 3).get(("n", "x")) == {"a": 1, "b": {"c": 2, "d": 3}}
    assert pool.set(("n", "text", "a"), 1).get(("n", "text")) == {"a": 1}


def test_outputs_are_added_and_the_newer_wins() -> None:
    pool = VariablePool({"n": {"a": 1, "b": 1}}).extend("n", {"b": 2, "c": None})
    assert pool.to_json() == {"n": {"a": 1, "b": 2, "c": None}}


def test_a_projection_holds_only_what_was_named_and_that_whole() -> None:
    projected = POOL.project([("n", "x", "list"), ("n", "missing"), ("missing", "x")])
    assert projected.to_json() == {"n": {"x": {"list": [1, {"y": 2}], "null": None}}}


def test_a_pool_does_not_follow_what_it_gives_out() -> None:
    POOL.to_json()["n"]["text"] = "changed"
    assert POOL.get(("n", "text")) == "abc"


def test_pools_are_equal_by_their_values() -> None:
    assert VariablePool({"a": {"x": 1}}) == VariablePool().set(("a", "x"), 1)
    assert VariablePool({"a": {"x": 1}}) != VariablePool()
    assert VariablePool() != {}
    assert repr(VariablePool({"a": {"x": 1}})) == "VariablePool({'a': {'x': 1}})"


# ---- files


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("name", "cat.png"),
        ("type", "image"),
        ("size", 3),
        ("mime_type", "image/png"),
        ("transfer_method", "remote_url"),
        ("extension", ".png"),
        ("related_id", "f-1"),
        ("url", None),
        ("dify_model_identity", None),
        ("unknown", None),
    ],
)
def test_a_files_attributes_are_read_by_their_dify_names(attribute: str, value: JsonValue) -> None:
    assert VariablePool({"n": {"f": FILE}}).get(("n", "f", attribute)) == value


def test_a_given_category_wins_over_the_mime_type() -> None:
    assert file_attribute({"type": "custom", "mime_type": "image/png"}, "type") == "custom"
    assert file_attribute({"type": "odd", "mime_type": "image/png"}, "type") == "image"


@pytest.mark.parametrize(
    ("mime_type", "category"),
    [
        ("image/png", "image"),
        ("audio/mpeg", "audio"),
        ("video/mp4", "video"),
        ("text/plain", "document"),
        ("application/pdf", "document"),
        ("application/vnd.ms-excel", "document"),
        ("application/msword", "document"),
        ("application/octet-stream", "other"),
        ("", "other"),
    ],
)
def test_the_category_follows_the_mime_type(mime_type: str, category: str) -> None:
    assert file_category(mime_type) == category
