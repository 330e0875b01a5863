"""What ``decide`` costs per node, for chains and fans of inline results: microseconds, medians.

    python benchmarks/decide.py [--rounds 5]

A chain is one node after another; a fan is one node, then N side by side, then one join. The times
are those of the pure core alone: no driver, no Temporal. They must not grow with the number of
nodes.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from bisect import bisect_left, bisect_right
from collections import deque
from operator import itemgetter

from xworkflow.domain.commands import StartNode
from xworkflow.domain.facts import NodeSucceeded, RunStarted
from xworkflow.domain.plan import Placement, Plan, PlanNode
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.scheduler import decide
from xworkflow.domain.state import initial_state

SIZES = (100, 1_000, 10_000)


def plan_of(count: int, edges: list[tuple[int, int]]) -> Plan:
    edges = sorted(edges, key=itemgetter(1))
    targets = tuple(target for _, target in edges)
    outs: list[list[int]] = [[] for _ in range(count)]
    for number, (source, _) in enumerate(edges):
        outs[source].append(number)
    nodes = tuple(
        PlanNode(
            index=i,
            id=f"n{i}",
            type="code",
            title="",
            placement=Placement.INLINE,
            in_edges=range(bisect_left(targets, i), bisect_right(targets, i)),
            out_edges=tuple(outs[i]),
        )
        for i in range(count)
    )
    return Plan(
        dialect="native",
        nodes=nodes,
        sources=tuple(source for source, _ in edges),
        targets=targets,
        handles=("source",) * len(edges),
        root=0,
        index_of={node.id: node.index for node in nodes},
    )


def chain(count: int) -> Plan:
    return plan_of(count, [(i, i + 1) for i in range(count - 1)])


def fan(count: int) -> Plan:
    middle = range(1, count - 1)
    return plan_of(count, [(0, i) for i in middle] + [(i, count - 1) for i in middle])


def run(plan: Plan) -> float:
    """Carry one run to its end; microseconds per node, its result included."""
    config = EngineConfig(max_steps=len(plan.nodes))
    state = initial_state(plan, pool=VariablePool(), config=config, id_base="benchmark")
    gc.collect()
    started = time.perf_counter()
    state, commands = decide(plan, state, RunStarted(0))
    todo = deque(c for c in commands if isinstance(c, StartNode))
    while todo:
        start = todo.popleft()
        result = NodeRunResult(outputs={"value": start.node})
        fact = NodeSucceeded(start.node, start.attempt, result, start.node)
        state, commands = decide(plan, state, fact)
        todo.extend(c for c in commands if isinstance(c, StartNode))
    elapsed = time.perf_counter() - started
    assert state.phase == "finished"  # noqa: S101 - a benchmark of a run that does not end is none
    return elapsed / len(plan.nodes) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(f"{'nodes':>8} {'chain µs':>10} {'fan µs':>10}")
    for size in SIZES:
        chains, fans = chain(size), fan(size)
        in_chain = statistics.median(run(chains) for _ in range(rounds))
        in_fan = statistics.median(run(fans) for _ in range(rounds))
        print(f"{size:>8} {in_chain:>10.1f} {in_fan:>10.1f}")


if __name__ == "__main__":
    main()
