"""``WorkflowRunner.compile`` and the builder without a server (spec/runtime.md 1.4)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workflows.drawing import chain, end, node, start
from xworkflow.client.compiled import CompiledWorkflow
from xworkflow.client.runner import WorkflowRunner
from xworkflow.context import WorkflowContext
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.quota import ResourceQuota
from xworkflow.domain.security_limits import SecurityLimits
from xworkflow.domain.wire import MockNode
from xworkflow.errors import DslParseError, InputError, ValidationFailed
from xworkflow.providers import FakeIdGenerator, FakeTimeProvider
from xworkflow.runtime_group import RuntimeGroup

TEXT = """
version: "0.1.0"
nodes:
  - {id: start, data: {type: start, title: S, variables: [{variable: n, type: number, label: n}]}}
  - {id: end, data: {type: end, title: E, outputs: [{variable: n, value_selector: [start, n]}]}}
edges:
  - {id: e, source: start, target: end}
"""
PLAIN = chain("plain", start(), end())


def test_a_text_is_compiled_into_what_starts_runs() -> None:
    compiled = WorkflowRunner.compile(TEXT)
    assert isinstance(compiled, CompiledWorkflow)
    assert [spec.id for spec in compiled.schema.nodes] == ["start", "end"]
    assert compiled.report.is_valid


def test_the_runs_of_a_compiled_workflow_share_its_schema() -> None:
    compiled = WorkflowRunner.compile(TEXT)
    one, other = compiled.runner(), compiled.runner()
    assert one is not other
    context = WorkflowContext.default()
    assert one.run_input(context).schema_text is other.run_input(context).schema_text


@pytest.mark.parametrize(
    ("text", "format_"), [('{"nodes": []', "json"), ("version = ", "toml"), ("a: [", None)]
)
def test_a_text_that_cannot_be_read_is_a_parse_error(text: str, format_: Any) -> None:
    with pytest.raises(DslParseError):
        WorkflowRunner.compile(text, format_)


def test_an_invalid_workflow_is_refused_with_its_report() -> None:
    with pytest.raises(ValidationFailed) as refused:
        WorkflowRunner.compile_schema(chain("no end", start()))
    assert "E006" in {found.code for found in refused.value.report.errors}


@pytest.mark.parametrize("node_type", ["my-type", "knowledge-retrieval"])
def test_a_type_that_a_group_may_bring_is_refused_when_a_run_starts(node_type: str) -> None:
    compiled = WorkflowRunner.compile_schema(chain("mine", start(), node("m", node_type), end()))
    assert not compiled.report.is_valid
    with pytest.raises(ValidationFailed):
        compiled.runner().check()
    compiled.runner().mock_nodes({"m": MockNode(outputs={})}).check()


def test_a_schema_is_compiled_as_its_text_is() -> None:
    compiled = WorkflowRunner.compile(TEXT)
    assert WorkflowRunner.compile_schema(compiled.schema) == compiled


def test_inputs_that_the_start_node_refuses_stop_a_run() -> None:
    needed = {"variable": "n", "type": "number", "required": True}
    schema = chain("needs n", node("start", "start", variables=[needed]), end())
    with pytest.raises(InputError):
        WorkflowRunner.compile_schema(schema).runner().check()
    WorkflowRunner.compile_schema(schema).runner().user_inputs({"n": 1}).check()


def test_inputs_that_are_no_json_are_refused_by_the_setter() -> None:
    with pytest.raises(InputError, match="user_inputs"):
        WorkflowRunner.builder(PLAIN).user_inputs({"n": object()})


@pytest.mark.parametrize(
    ("setter", "namespace"),
    [
        ("user_inputs", "user_inputs"),
        ("system_vars", "system"),
        ("environment_vars", "environment"),
        ("conversation_vars", "conversation"),
    ],
)
def test_a_setter_of_variables_replaces_and_does_not_merge(setter: str, namespace: str) -> None:
    builder = WorkflowRunner.builder(PLAIN)
    getattr(builder, setter)({"a": 1})
    assert getattr(builder, setter)({"b": 2}) is builder
    travelling = builder.run_input(WorkflowContext.default()).variables
    assert getattr(travelling, namespace) == {"b": 2}


def test_the_engine_has_the_defaults_of_the_reference() -> None:
    assert EngineConfig().limits == SecurityLimits()
    assert EngineConfig().model_dump(exclude={"limits"}) == {
        "max_steps": 500,
        "max_execution_time_secs": 600,
        "strict_template": False,
        "parallel_enabled": True,
        "max_concurrency": 0,
        "max_pool_entries": None,
        "max_pool_bytes": None,
    }


def test_fakes_travel_as_data() -> None:
    context = (
        WorkflowContext.default()
        .with_time_provider(FakeTimeProvider(7))
        .with_id_generator(FakeIdGenerator("f"))
    )
    options = WorkflowRunner.builder(PLAIN).run_input(context).options
    assert (options.fixed_timestamp, options.fake_id_prefix) == (7, "f")


def test_a_strict_context_makes_a_strict_run() -> None:
    context = WorkflowContext.default()
    context.strict_template = True
    config = WorkflowRunner.builder(PLAIN).run_input(context).config
    assert config is not None
    assert config.strict_template


def test_the_limits_of_a_group_without_a_name_travel() -> None:
    group = RuntimeGroup(quota=ResourceQuota(max_steps=3, max_execution_time_secs=4))
    policy = WorkflowRunner.builder(PLAIN).run_input(WorkflowContext.new(group)).policy
    assert policy is not None
    assert (policy.max_steps, policy.max_execution_time_secs) == (3, 4)


@pytest.mark.parametrize("group", [RuntimeGroup.default(), RuntimeGroup(group_id="asked")])
def test_a_named_group_is_asked_and_the_default_one_has_no_limits(group: RuntimeGroup) -> None:
    assert WorkflowRunner.builder(PLAIN).run_input(WorkflowContext.new(group)).policy is None


@pytest.mark.parametrize("seconds", [None, 5_000.0])
def test_a_placement_alone_lowers_no_limit(seconds: float | None) -> None:
    config = EngineConfig(max_steps=9_000, max_execution_time_secs=seconds)
    context = WorkflowContext.new(RuntimeGroup(node_placement="activity"))
    policy = WorkflowRunner.builder(PLAIN).config(config).run_input(context).policy
    assert policy is not None
    assert policy.all_activities
    lowered = config.lowered(policy.max_steps, policy.max_execution_time_secs)
    assert lowered.max_steps == 9_000
    assert lowered.max_execution_time_secs is not None
    assert lowered.max_execution_time_secs >= 5_000
