"""The first state of a run, from what it was started with (spec/graph.md 5.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from xworkflow.domain.facts import Forked
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.pool import Namespace, VariablePool
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.secret_references import reference
from xworkflow.domain.state import RunState, initial_state, load_state
from xworkflow.domain.values import JsonValue, coerce_declared
from xworkflow.domain.wire import RunInput, Variables
from xworkflow.engine.cache import plans
from xworkflow.engine.carrier import Carrier, LaneEffect, SingleRun
from xworkflow.engine.chunk_run import ChunkRun, container_of
from xworkflow.engine.compile import Compiled, CompileError, CompileOptions
from xworkflow.engine.composing import Composer
from xworkflow.nodes.base import ContainerNode
from xworkflow.nodes.registry import NodeRegistry


def compiled_of(run: RunInput) -> Compiled:
    """The compilation that a run works with. Raises CompileError."""
    options = CompileOptions(mock_nodes=run.mock_nodes, executors=run.executors)
    if run.policy is not None:
        options = options.under(run.policy)
    return plans.get(run.schema_text, options)


def carrier_of(
    run: RunInput,
    compiled: Compiled,
    execution_id: str,
    composers: dict[int, Composer] | None = None,
    *,
    in_region: bool = False,
) -> Carrier:
    """What a workflow that was started with this carries. Raises CompileError.

    A reader gives ``composers``, by lane; they outlive a history that is continued. A quiet chunk
    shows nothing, and has none.
    """
    if run.chunk is None:
        state = first_state(run, compiled, execution_id)
        return SingleRun(compiled, state, composers, in_region=in_region)
    node_type = NodeRegistry.builtin().find(run.chunk.node_type)
    if not isinstance(node_type, ContainerNode):
        raise CompileError(f"'{run.chunk.node_type}' repeats no body")
    container: ContainerNode[Any] = node_type
    node = container_of(run.chunk, compiled, container)
    config = config_of(run, compiled.schema)
    if run.chunk.quiet:
        composers = None
    return ChunkRun(
        compiled, run, container, node, config, composers=composers, in_region=in_region
    )


def begin(carrier: Carrier, run: RunInput, at: int) -> list[LaneEffect]:
    """Begin a run: from nothing, or where its fork was cut off from another one."""
    fork = run.fork
    if fork is None or run.state is None:
        return carrier.begin(at)
    return carrier.tell(Forked(fork.execution_id, fork.node_id, at, fork.warnings))


def first_state(run: RunInput, compiled: Compiled, run_id: str) -> RunState:
    """The state that a history begins with: fresh, seeded (sub-graphs), or carried on."""
    if run.state is not None:
        return load_state(run.state)
    schema = compiled.schema
    pool = VariablePool(run.pool) if run.pool is not None else initial_pool(schema, run.variables)
    return initial_state(
        compiled.plan,
        pool=pool,
        config=config_of(run, schema),
        id_base=run.id_base or run_id,
        fake_id_prefix=run.options.fake_id_prefix,
        fixed_timestamp=run.options.fixed_timestamp,
        debug=run.debug,
    )


def config_of(run: RunInput, schema: WorkflowSchema) -> EngineConfig:
    """The limits that a run is started with: its own, under those of its group as far as they
    travel."""
    config = run.config or EngineConfig.of_dialect(schema.dialect)
    return config if run.policy is None else run.policy.applied(config)


def initial_pool(schema: WorkflowSchema, variables: Variables) -> VariablePool:
    """sys, env, conversation and the start node's inputs; declarations fill what is not given."""
    spaces: dict[str, Namespace] = {
        "sys": _system(schema, variables.system),
        "env": _environment(schema, variables.environment),
        "conversation": _conversation(schema, variables.conversation),
    }
    for node in schema.nodes:
        if node.type == "start" and node.parent_id is None:
            spaces[node.id] = typed_inputs(node.data, variables.user_inputs)
    return VariablePool(spaces)


def _environment(schema: WorkflowSchema, given: Mapping[str, JsonValue]) -> Namespace:
    """What is declared, over it what was given; of secrets only references, whoever gave them."""
    space = {v.name: v.value for v in schema.environment_variables} | dict(given)
    for name in schema.secret_names:
        space[name] = reference(name, schema.hash)
    return space


def _system(schema: WorkflowSchema, given: Mapping[str, JsonValue]) -> Namespace:
    system = dict(given)
    if schema.mcp_servers and "__mcp_servers" not in given:
        system["__mcp_servers"] = schema.mcp_servers
    if schema.dialect == "dify" and "files" in given:
        system["files"] = coerce_declared(given["files"], "array[file]")
    return system


def _conversation(schema: WorkflowSchema, given: Mapping[str, JsonValue]) -> Namespace:
    types = {variable.name: variable.type for variable in schema.conversation_variables}
    defaults = {variable.name: variable.default for variable in schema.conversation_variables}
    return {
        name: coerce_declared(value, types.get(name, "string"))
        for name, value in {**defaults, **given}.items()
    }


def typed_inputs(data: Mapping[str, JsonValue], given: Mapping[str, JsonValue]) -> Namespace:
    """Inputs as the start node with this data declares them."""
    declared = cast("list[dict[str, Any]]", data.get("variables") or [])
    types = {str(v.get("variable")): str(v.get("type", "string")).strip().lower() for v in declared}
    return {name: coerce_declared(v, types.get(name, "string")) for name, v in given.items()}
