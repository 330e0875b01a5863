"""What a child workflow of a container is started with. Pure: shell and readers alike use it."""

from __future__ import annotations

from typing import Final

from xworkflow.domain.commands import StartChunk
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.wire import ChunkTask, RunInput, Variables
from xworkflow.engine.carrier import Carrier

NODES_AT_ONCE: Final = 250
"""A workflow task must end within two seconds, and so must what a workflow computes without a
pause. Between two breaths the SDK may end the task and begin another one; on a busy machine these
nodes take a tenth of that time."""

NODES_IN_A_HISTORY: Final = 4_000
"""A worker that takes a chunk over replays its history within one workflow task: one that takes two
seconds is given to the next worker, which begins again, and so for ever. Inline nodes leave no
events, so the length of a history does not tell."""

BYTES_AT_ONCE: Final = 256 * 1024
"""All that a workflow says at once must fit one message of 4 MB. What a chunk did not come to goes
out in another one."""


def chunk_input(  # noqa: PLR0913, PLR0917 - the parts of a sub-graph, each independent
    run: RunInput,
    carrier: Carrier,
    lane: int,
    start: StartChunk,
    execution_id: str,
    own_id: str,
) -> RunInput:
    """The body, the items of the chunk, and what of the lane's pool the body can reach."""
    driver = carrier.lanes[lane]
    node, body = driver.plan.nodes[start.node], driver.compiled.bodies[start.node]
    repeat = driver.state.repeats[str(start.node)].repeat
    if not repeat.folds and repeat.items is not None:
        items = repeat.items[start.start : start.start + start.count]
        repeat = repeat.model_copy(update={"items": items})
    pool, reads = driver.state.pool, body.reads
    projected = pool if reads is None else pool.project((*reads, *(node.reads or ())))
    return run.model_copy(
        update={
            "schema_text": body.schema.text,
            "config": EngineConfig.of_dialect(driver.plan.dialect).model_copy(
                update={"strict_template": carrier.config.strict_template}
            ),
            "app_name": node.title or node.id,
            "id_base": execution_id,
            "pool": projected.to_json(),
            "variables": Variables(),
            "state": None,
            "debug": None,
            "fork": None,
            "waiting": (),
            "root_id": run.root_id or own_id,
            "chunk": ChunkTask(
                node_id=node.id,
                node_type=node.type,
                title=node.title,
                data=driver.compiled.nodes[start.node].spec.data,
                execution_id=start.execution_id,
                attempt=start.attempt,
                start=start.start,
                window=start.window,
                repeat=repeat,
                path=carrier.path(lane),
                quiet=start.quiet or (run.chunk is not None and run.chunk.quiet),
                nodes_at_once=NODES_AT_ONCE,
                bytes_at_once=BYTES_AT_ONCE,
                nodes_in_a_history=NODES_IN_A_HISTORY,
            ),
        }
    )
