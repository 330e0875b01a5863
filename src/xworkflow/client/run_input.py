"""What ``GraphWorkflow`` is started with: from a schema, a context and the caller's choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from xworkflow.context import WorkflowContext
from xworkflow.domain.debugging import DebugConfig
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.values import JsonValue, display
from xworkflow.domain.wire import ExecutorInfo, MockNode, Policy, RunInput, RunOptions, Variables
from xworkflow.providers import FakeIdGenerator, FakeTimeProvider

_NO_LIMIT_SECS: Final = 1e9


@dataclass(slots=True)
class Choices:
    """What the caller of a run chose. ``variables`` by namespace, ``options`` of RunOptions."""

    variables: dict[str, dict[str, JsonValue]] = field(
        default_factory=dict[str, dict[str, JsonValue]]
    )
    config: EngineConfig | None = None
    mocks: dict[str, MockNode] = field(default_factory=dict[str, MockNode])
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    debug: DebugConfig | None = None


def make_run_input(schema: WorkflowSchema, context: WorkflowContext, choices: Choices) -> RunInput:
    """Also what any other Temporal client may send."""
    config = _engine_config(schema, context, choices)
    return RunInput(
        schema_text=schema.text,
        variables=_complete_variables(schema, context, choices),
        config=config,
        options=_run_options(context, choices),
        group_id=context.runtime_group.group_id,
        mock_nodes=choices.mocks,
        executors=executors_of(context),
        app_name=schema.name,
        policy=_travelling_policy(context, config),
        debug=choices.debug,
    )


def secret_values(schema: WorkflowSchema, choices: Choices) -> dict[str, str]:
    """The values of secret variables that the file or the caller brought along."""
    given = choices.variables.get("environment", {})
    chosen = {name: display(given[name]) for name in schema.secret_names & given.keys()}
    return {**schema.secret_values, **chosen}


def executors_of(context: WorkflowContext) -> dict[str, ExecutorInfo]:
    """The node types that the group adds to the built-in ones."""
    registry = context.node_executor_registry()
    return {
        name: ExecutorInfo(reads_all=getattr(registry.get(name), "reads_all", False))
        for name in registry.foreign_types()
    }


def _travelling_policy(context: WorkflowContext, config: EngineConfig) -> Policy | None:
    """The limits of a group without a name: a workflow cannot ask it, so they travel."""
    group = context.runtime_group
    everything = group.node_placement == "activity"
    secured = group.security_policy is not None
    if group.group_id is not None or not (group.has_own_limits or everything or secured):
        return None
    quota = group.quota if group.has_own_limits else None
    if quota is not None:
        steps, seconds = quota.max_steps, float(quota.max_execution_time_secs)
    else:
        own = config.max_execution_time_secs
        steps, seconds = config.max_steps, _NO_LIMIT_SECS if own is None else own
    return Policy(
        max_steps=steps,
        max_execution_time_secs=seconds,
        security_level=group.security_level.value,
        all_activities=everything,
        limits=group.limits,
        max_pool_entries=None if quota is None else quota.max_variable_pool_entries,
        max_pool_bytes=None if quota is None else quota.max_variable_pool_bytes,
    )


def _engine_config(
    schema: WorkflowSchema, context: WorkflowContext, choices: Choices
) -> EngineConfig:
    config = choices.config or EngineConfig.of_dialect(schema.dialect)
    if context.strict_template and not config.strict_template:
        return config.model_copy(update={"strict_template": True})
    return config


def _run_options(context: WorkflowContext, choices: Choices) -> RunOptions:
    time, ids = context.time_provider, context.id_generator
    fakes: dict[str, Any] = {}
    if isinstance(time, FakeTimeProvider):
        fakes["fixed_timestamp"] = time.fixed_timestamp
    if isinstance(ids, FakeIdGenerator):
        fakes["fake_id_prefix"] = ids.prefix
    return RunOptions(**{**fakes, **choices.options})


def _complete_variables(
    schema: WorkflowSchema, context: WorkflowContext, choices: Choices
) -> Variables:
    variables = Variables(**choices.variables)
    if schema.secret_names & variables.environment.keys():
        plain = {n: v for n, v in variables.environment.items() if n not in schema.secret_names}
        variables = variables.model_copy(update={"environment": plain})
    if schema.dialect == "native":
        return variables
    defaults = _dify_system_variables(schema, context)
    return variables.model_copy(update={"system": {**defaults, **variables.system}})


def _dify_system_variables(
    schema: WorkflowSchema, context: WorkflowContext
) -> Mapping[str, JsonValue]:
    return {
        "query": "",
        "files": [],
        "user_id": "",
        "app_id": "",
        "workflow_id": schema.hash[:36],
        "workflow_run_id": context.execution_id,
        "conversation_id": "",
        "dialogue_count": 0,
        "timestamp": context.start_time,
    }
