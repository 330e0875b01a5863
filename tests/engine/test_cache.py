"""Compiled schemas of a process."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.workflows.drawing import chain, end, start
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.wire import MockNode
from xworkflow.engine.cache import PlanCache, plans
from xworkflow.engine.compile import CompileError, CompileOptions
from xworkflow.nodes.registry import NodeRegistry

PLAIN = CompileOptions()


def schema(name: str) -> WorkflowSchema:
    return chain(name, start(), end())


def cache(max_entries: int = 256) -> PlanCache:
    return PlanCache(NodeRegistry.builtin(), max_entries)


def test_the_second_use_of_a_schema_finds_the_first_ones_compilation() -> None:
    kept = cache()
    assert kept.get(schema("a").text, PLAIN) is kept.get(schema("a").text, PLAIN)


def test_schemas_and_options_have_compilations_of_their_own() -> None:
    kept = cache()
    mocked = CompileOptions(mock_nodes={"end": MockNode(outputs={"x": 1})})
    one, other = kept.get(schema("a").text, PLAIN), kept.get(schema("b").text, PLAIN)
    assert len({id(one), id(other), id(kept.get(schema("a").text, mocked))}) == 3


def test_a_compilation_is_found_by_its_key() -> None:
    kept = cache()
    found = kept.get(schema("a").text, PLAIN)
    assert kept.find(found.key) is found
    assert kept.find("unknown") is None


def test_the_least_recently_used_one_is_dropped() -> None:
    kept = cache(max_entries=2)
    keys = {name: kept.get(schema(name).text, PLAIN).key for name in "ab"}
    kept.find(keys["a"])
    kept.get(schema("c").text, PLAIN)
    gc.collect()
    assert kept.find(keys["b"]) is None
    assert kept.find(keys["a"]) is not None


def test_what_a_run_still_holds_is_found_however_many_came_after_it() -> None:
    kept = cache(max_entries=1)
    held = kept.get(schema("a").text, PLAIN)
    for name in "bcd":
        kept.get(schema(name).text, PLAIN)
    assert kept.find(held.key) is held
    assert kept.get(schema("a").text, PLAIN) is held


@pytest.mark.parametrize("text", ["", "{", "[]", '{"nodes": 5}'])
def test_a_text_that_is_no_schema_is_refused(text: str) -> None:
    with pytest.raises(CompileError, match="not a workflow schema"):
        cache().get(text, PLAIN)


def test_a_schema_that_cannot_be_compiled_is_refused_each_time() -> None:
    kept = cache()
    for _ in range(2):
        with pytest.raises(CompileError, match="No start node found"):
            kept.get(WorkflowSchema().text, PLAIN)


def test_many_threads_get_the_same_plan() -> None:
    kept = cache(max_entries=2)
    texts = [schema(name).text for name in "abcd"] * 20
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(partial(kept.get, options=PLAIN), texts))
    assert [one.schema.text for one in found] == texts


def test_the_process_has_one_cache_with_the_types_that_come_with_xworkflow() -> None:
    assert plans.get(schema("a").text, PLAIN) is plans.get(schema("a").text, PLAIN)
