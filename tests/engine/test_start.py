"""The first state of a run (spec/graph.md 5.2, 3.1, 3.4)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.domain.drawn import Run
from tests.workflows.drawing import chain, end, node, start
from xworkflow.domain.ids import IdSequence
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.schema import (
    ConversationVariable,
    EnvironmentVariable,
    WorkflowSchema,
)
from xworkflow.domain.state import RunState, dump_state
from xworkflow.domain.values import to_file
from xworkflow.domain.wire import MockNode, Policy, RunInput, RunOptions, Variables
from xworkflow.engine.compile import CompileError
from xworkflow.engine.start import compiled_of, first_state, initial_pool

SCHEMA = chain("c", start("n"), end())


def state_of(schema: WorkflowSchema = SCHEMA, **parts: Any) -> RunState:
    run = RunInput(schema_text=schema.text, **parts)
    return first_state(run, compiled_of(run), "run-1")


def pool_of(schema: WorkflowSchema, **given: Any) -> dict[str, dict[str, Any]]:
    return initial_pool(schema, Variables(**given)).to_json()


# ---- the pool


def test_what_is_given_is_found_in_its_namespace() -> None:
    given = Variables(
        user_inputs={"n": 1, "undeclared": 2},
        system={"query": "hi"},
        environment={"KEY": "v"},
        conversation={"log": []},
    )
    assert initial_pool(SCHEMA, given).to_json() == {
        "sys": {"query": "hi"},
        "env": {"KEY": "v"},
        "conversation": {"log": []},
        "start": {"n": 1, "undeclared": 2},
    }


def test_declarations_fill_what_is_not_given() -> None:
    schema = SCHEMA.model_copy(
        update={
            "environment_variables": (
                EnvironmentVariable(name="a", value="declared"),
                EnvironmentVariable(name="b", value="declared"),
            ),
            "conversation_variables": (
                ConversationVariable(name="c", default=[1]),
                ConversationVariable(name="d", default="declared"),
                ConversationVariable(name="e"),
            ),
        }
    )
    pool = pool_of(schema, environment={"b": "given"}, conversation={"d": "given", "own": 1})
    assert pool["env"] == {"a": "declared", "b": "given"}
    assert pool["conversation"] == {"c": [1], "d": "given", "e": None, "own": 1}


def test_inputs_are_converted_by_their_declared_type_and_never_refused() -> None:
    variables = [
        {"variable": "text", "type": "string"},
        {"variable": "file", "type": " File "},
        {"variable": "files", "type": "array[file]"},
    ]
    schema = chain("c", node("start", "start", variables=variables), end())
    inputs = {"text": 5, "file": {"name": "a.txt"}, "files": [{"name": "b.txt"}]}
    assert pool_of(schema, user_inputs=inputs)["start"] == {
        "text": 5,
        "file": to_file({"name": "a.txt"}),
        "files": [to_file({"name": "b.txt"})],
    }


def test_conversation_values_are_converted_by_their_declared_type() -> None:
    declared = ConversationVariable(name="f", type="file")
    schema = SCHEMA.model_copy(update={"conversation_variables": (declared,)})
    pool = pool_of(schema, conversation={"f": {"name": "a.txt"}})
    assert pool["conversation"]["f"] == to_file({"name": "a.txt"})


def test_inputs_go_to_the_start_node_under_whatever_id() -> None:
    schema = chain("c", node("begin", "start"), end())
    assert pool_of(schema, user_inputs={"x": 1})["begin"] == {"x": 1}


def test_the_start_node_of_a_body_gets_no_inputs() -> None:
    inner = node("inner", "start").model_copy(update={"parent_id": "loop"})
    schema = SCHEMA.model_copy(update={"nodes": (inner, *SCHEMA.nodes)})
    assert "inner" not in pool_of(schema, user_inputs={"n": 1})


def test_servers_of_the_file_are_a_system_variable_unless_one_is_given() -> None:
    servers = {"s": {"transport": "http", "url": "http://x/"}}
    schema = SCHEMA.model_copy(update={"mcp_servers": servers})
    assert pool_of(schema)["sys"] == {"__mcp_servers": servers}
    assert pool_of(schema, system={"__mcp_servers": {}})["sys"] == {"__mcp_servers": {}}
    assert pool_of(SCHEMA)["sys"] == {}


# ---- the state


def test_a_fresh_run_has_its_dialects_limits() -> None:
    assert state_of().config == EngineConfig(max_execution_time_secs=600)
    dify = WorkflowSchema(dialect="dify", nodes=SCHEMA.nodes, edges=SCHEMA.edges)
    assert state_of(dify).config == EngineConfig(max_execution_time_secs=1200)


def test_a_given_config_wins_over_the_dialects() -> None:
    config = EngineConfig(max_steps=7, max_execution_time_secs=None)
    assert state_of(config=config).config == config


def test_an_admitted_policy_lowers_the_config() -> None:
    config = EngineConfig(max_steps=7, max_execution_time_secs=None)
    policy = Policy(max_steps=100, max_execution_time_secs=9)
    assert state_of(config=config, policy=policy).config == EngineConfig(
        max_steps=7, max_execution_time_secs=9
    )


def test_ids_come_from_the_run_or_from_what_it_continues() -> None:
    assert state_of().ids == IdSequence("run-1", None, 1)
    assert state_of(id_base="root/error-handler").ids.base == "root/error-handler"


def test_options_fix_the_clock_and_the_ids() -> None:
    state = state_of(options=RunOptions(fixed_timestamp=100, fake_id_prefix="id"))
    assert (state.now, state.fixed_time, state.ids.fake_prefix) == (100_000, True, "id")


def test_a_sub_graph_is_seeded_with_what_it_reaches_and_nothing_else() -> None:
    state = state_of(pool={"outer": {"x": 1}}, variables=Variables(user_inputs={"n": 1}))
    assert state.pool.to_json() == {"outer": {"x": 1}}


def test_a_run_that_continues_has_the_state_that_it_had() -> None:
    carried = Run("start>a").begin().state
    state = state_of(state=json.loads(json.dumps(dump_state(carried))))
    assert state == carried


# ---- the compilation


def test_a_run_brings_its_mocks_along() -> None:
    schema = chain("c", start(), node("x", "teleport"), end())
    run = RunInput(schema_text=schema.text, mock_nodes={"x": MockNode(outputs={"y": 1})})
    assert compiled_of(run).plan.node("x").type == "teleport"


def test_an_admitted_policy_may_make_activities_of_all_nodes() -> None:
    text = SCHEMA.text
    assert not compiled_of(RunInput(schema_text=text, policy=Policy())).options.all_activities
    admitted = RunInput(schema_text=text, policy=Policy(all_activities=True))
    assert compiled_of(admitted).options.all_activities


def test_a_run_that_cannot_be_compiled_says_why() -> None:
    with pytest.raises(CompileError, match="No start node found"):
        compiled_of(RunInput(schema_text=WorkflowSchema(name="empty").text))
