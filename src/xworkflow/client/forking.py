"""Forking a run: reading what it did, cutting it back to a node, and starting what is left.

Everything is read from the run's history, so no worker is needed, and it may be running, closed,
failed or stopped; the run itself is never touched.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from temporalio.client import Client

from xworkflow.client.history import HistoryFeed
from xworkflow.domain.ids import IdSequence
from xworkflow.domain.plan import Plan
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.selectors import Selector, SelectorError, parse_selector
from xworkflow.domain.state import dump_state
from xworkflow.domain.values import JsonValue, coerce_declared, normalise
from xworkflow.domain.wire import ForkOrigin, RunInput, Variables
from xworkflow.engine.carrier import SingleRun
from xworkflow.engine.forking import Fork, Wish, fork
from xworkflow.engine.past import Note, Past, Retracing
from xworkflow.engine.run_changes import run_changes
from xworkflow.engine.start import compiled_of, config_of, typed_inputs
from xworkflow.engine.validation import validated
from xworkflow.errors import InputError, ValidationFailed
from xworkflow.nodes.start import check_inputs, start_variables
from xworkflow.providers import RealIdGenerator


@dataclass(frozen=True, slots=True)
class Origin:
    """The run that is forked, up to now. ``run`` is what it was started with."""

    execution_id: str
    run: RunInput
    past: Past
    task_queue: str

    @property
    def schema(self) -> WorkflowSchema:
        return self.past.compiled.schema


@dataclass(frozen=True, slots=True)
class ForkOrder:
    """What the caller of a fork wants.

    ``from_node`` None starts everything again that has not finished. ``values`` are keyed
    ``node.variable``. ``force`` makes warnings of changes that would be refused. ``secrets`` names
    secret variables whose values were given to the group along with the new file.
    """

    from_node: str | None = None
    values: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    schema: WorkflowSchema | None = None
    config: EngineConfig | None = None
    force: bool = False
    secrets: frozenset[str] = frozenset()
    execution_id: str | None = None


@dataclass(frozen=True, slots=True)
class ForkPlan:
    """A fork that can be started: what it reuses, starts with and is warned of is in ``fork``."""

    origin: str
    execution_id: str
    run: RunInput
    fork: Fork
    task_queue: str
    from_node: str | None


async def origin_of(client: Client, execution_id: str, first_run_id: str) -> Origin:
    """Read all histories of a run. Raises InputError for what is no run, and RPCError."""
    notes: list[Note] = []
    first: tuple[RunInput, SingleRun] | None = None
    carrier: SingleRun | None = None
    queue, following = "", first_run_id
    while following:
        feed = HistoryFeed(client.data_converter, execution_id)
        handle = client.get_workflow_handle(execution_id, run_id=following)
        async for event in handle.fetch_history_events():
            await feed.take(event)
            if event.event_id != 1:
                continue
            carrier = feed.carrier if isinstance(feed.carrier, SingleRun) else None
            if carrier is None or feed.run_input is None:
                break
            queue = event.workflow_execution_started_event_attributes.task_queue.name
            carrier.driver = Retracing(carrier.compiled, carrier.driver.state, notes)
            carrier.lanes = {0: carrier.driver}
            first = first or (feed.run_input, SingleRun(carrier.compiled, carrier.driver.state))
        await feed.settle()  # of a run that goes on
        following = feed.closed.next_run_id if feed.closed is not None else None
    if first is None or carrier is None:
        raise InputError((f"'{execution_id}' cannot be forked: it is no run of a whole workflow",))
    run, began = first
    driver = carrier.driver
    past = Past(driver.compiled, began.driver.state, driver.state, tuple(notes))
    return Origin(execution_id, run, past, queue)


def plan_fork(origin: Origin, order: ForkOrder, base: RunInput | None = None) -> ForkPlan:
    """Cut the run back. ``base`` is what the fork would be started with from nothing; by default
    what its origin was started with.

    Raises ValidationFailed or InputError with all the reasons against it.
    """
    execution_id = order.execution_id or RealIdGenerator().next_id()
    if execution_id == origin.execution_id:
        raise InputError((f"the fork of '{execution_id}' needs an id of its own",))
    run = _run_of(origin, order, base)
    if run.schema_text != origin.run.schema_text:
        _validate(order.schema or origin.schema, run)
    compiled = compiled_of(run)
    from_node = _node_id(compiled.plan, order.from_node)
    wish = Wish(
        from_node,
        values=tuple(_typed(compiled.schema, order.values)),
        force=order.force,
        config=config_of(run, compiled.schema),
        now=int(time.time() * 1000),
        secrets=order.secrets,
    )
    ids = IdSequence(execution_id, run.options.fake_id_prefix)
    cut = fork(origin.past, compiled, wish, ids, run_changes(origin.run, run))
    _check_start_inputs(compiled.schema, cut, wish)
    marked = ForkOrigin(
        execution_id=origin.execution_id,
        node_id=from_node or "",
        warnings=tuple(found.message for found in cut.report.diagnostics),
    )
    run = run.model_copy(update={"state": dump_state(cut.state), "fork": marked})
    return ForkPlan(origin.execution_id, execution_id, run, cut, origin.task_queue, from_node)


def _run_of(origin: Origin, order: ForkOrder, base: RunInput | None) -> RunInput:
    """What the fork is started with, but for its state."""
    changed: dict[str, Any] = {
        "variables": Variables(),
        "pool": None,
        "id_base": None,
        "debug": None,
        "waiting": (),
    }
    if order.schema is not None:
        changed |= {"schema_text": order.schema.text, "app_name": order.schema.name}
    if order.config is not None:
        changed["config"] = order.config
    return (base or origin.run).model_copy(update=changed)


def _validate(schema: WorkflowSchema, run: RunInput) -> None:
    mocked, foreign = frozenset(run.mock_nodes), frozenset(run.executors)
    report = validated(schema, mocked=mocked, foreign=foreign)
    if not report.is_valid:
        raise ValidationFailed(report, schema.name or "the workflow")


def _node_id(plan: Plan, name: str | None) -> str | None:
    """A node by its id, or else by its title, where only one has it."""
    if name is None or name in plan.index_of:
        return name
    titled = [node.id for node in plan.nodes if node.title == name]
    return titled[0] if len(titled) == 1 else name


def _typed(
    schema: WorkflowSchema, values: Mapping[str, JsonValue]
) -> Iterator[tuple[Selector, JsonValue]]:
    """Values as start node and conversation variables declare them; others as they are."""
    inputs = {node.id: node.data for node in schema.nodes if node.type == "start"}
    types = {variable.name: variable.type for variable in schema.conversation_variables}
    problems: list[str] = []
    for name, given in values.items():
        try:
            selector, value = parse_selector(name), normalise({"value": given})["value"]
        except (SelectorError, TypeError) as error:
            problems.append(f"'{name}' cannot be set: {error}")
            continue
        plain = len(selector) == 2  # noqa: PLR2004 - a variable itself, nothing inside of it
        if plain and selector[0] in inputs:
            value = typed_inputs(inputs[selector[0]], {selector[1]: value})[selector[1]]
        elif plain and selector[0] == "conversation":
            value = coerce_declared(value, types.get(selector[1], "string"))
        yield selector, value
    if problems:
        raise InputError(tuple(problems))


def _check_start_inputs(schema: WorkflowSchema, cut: Fork, wish: Wish) -> None:
    """Inputs that were set anew must still be such as the start node wants."""
    start = next((n.id for n in schema.nodes if n.type == "start" and n.parent_id is None), None)
    if start is None or all(selector[0] != start for selector, _ in wish.values):
        return
    given = dict(cut.state.pool.namespace(start))
    problems = check_inputs(start_variables(schema), given, schema.dialect)
    if problems:
        raise InputError(problems)
