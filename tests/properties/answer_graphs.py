"""Random Dify graphs with many answers: side by side, behind branches, inside of containers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from tests.workflows.drawing import choice, edges, gather, node, retries, text
from xworkflow.domain.schema import ErrorStrategy, NodeSpec, SubGraph, WorkflowSchema
from xworkflow.domain.wire import MockNode

MODEL: Final = {"provider": "openai", "name": "m"}
SYSTEM: Final = {"query": "yes", "items": ["x", "y", "z"]}
CONVERSATION: Final = {"c": "old"}

_TOLERANT: Final = (
    ErrorStrategy(type="fail-branch"),
    ErrorStrategy(type="default-value", default_value={"text": "sorry"}),
)


@dataclass(frozen=True)
class Model:
    """How an llm node answers: fails in its first attempts, then says these pieces, or never."""

    pieces: tuple[str, ...]
    failures: int = 0
    fails: bool = False


@dataclass
class Drawer:
    """Draws a graph. Ids are unique over all bodies; no run of it fails."""

    random: Random
    containers: bool = True
    models: dict[str, Model] = field(default_factory=dict[str, Model])
    mocks: dict[str, MockNode] = field(default_factory=dict[str, MockNode])
    count: int = 0

    def draw(self) -> WorkflowSchema:
        nodes, drawn = self.nodes(node("s", "start", variables=[]), may_fail=False, level=0)
        return WorkflowSchema(dialect="dify", name="g", nodes=nodes, edges=edges(*drawn))

    def nodes(
        self, root: NodeSpec, *, may_fail: bool, level: int, outside: Sequence[str] = ()
    ) -> tuple[tuple[NodeSpec, ...], list[str]]:
        found, drawn = [root], list[str]()
        ways: dict[str, tuple[str, ...]] = {root.id: ("",)}
        seen = list(outside)
        for _ in range(self.random.randint(2, 9)):
            made = self.node(seen, may_fail=may_fail, level=level)
            wanted = self.random.choice((2, 3) if made.type == "gather" else (1, 1, 2))
            for source in self.random.sample(list(ways), min(len(ways), wanted)):
                drawn.append(f"{source}{self.random.choice(ways[source])} > {made.id}")
            found.append(made)
            ways[made.id] = _ways(made)
            if made.type in ("llm", "template-transform"):
                seen.append(made.id)
        # the drawing may have the nodes in any order
        rest = found[1:]
        self.random.shuffle(rest)
        return (root, *rest), drawn

    def node(self, seen: Sequence[str], *, may_fail: bool, level: int) -> NodeSpec:
        self.count += 1
        dice = self.random.random()
        if dice < 0.42:
            return self.answer(seen)
        if dice < 0.66:
            return self.llm(may_fail=may_fail)
        if dice < 0.74:
            return text(f"t{self.count}", f"t{self.count}")
        if dice < 0.82:
            return choice(f"if{self.count}", "sys.query", self.random.choice(("yes", "no")))
        if dice < 0.87 and seen:
            stops = self.random.random() < 0.7
            return gather(
                f"join{self.count}", {"type": "any"}, f"{seen[-1]}.text", cancel_remaining=stops
            )
        if dice < 0.91 or not self.containers or level > 1:
            return node(
                f"set{self.count}", "assigner", assigned_variable_selector=["conversation", "c"],
                value=f"new{self.count}", write_mode="overwrite",
            )  # fmt: skip
        return self.container(seen, may_fail=may_fail, level=level)

    def answer(self, seen: Sequence[str]) -> NodeSpec:
        values = ["conversation.c", "sys.query", *map(_text_of, seen)]
        parts = [
            f"{{{{#{self.random.choice(values)}#}}}}" if self.random.random() < 0.6 else "-"
            for _ in range(self.random.randint(0, 3))
        ]
        strategy = None
        if self.random.random() < 0.1:
            strategy = ErrorStrategy(type="default-value", default_value={"answer": "no"})
        said = f"[{self.count}{''.join(parts)}]"
        if self.random.random() < 0.1:
            self.mocks[f"a{self.count}"] = MockNode(outputs={"answer": f"<{self.count}>"})
        return node(f"a{self.count}", "answer", answer=said, strategy=strategy)

    def llm(self, *, may_fail: bool) -> NodeSpec:
        name = f"llm{self.count}"
        strategy = self.random.choice((None, None, *_TOLERANT))
        pieces = tuple(self.random.choices(("a", "b", "", "cd"), k=self.random.randint(0, 4)))
        retry = retries(1, 0) if self.random.random() < 0.2 else None
        fails = (may_fail or strategy is not None) and self.random.random() < 0.4
        self.models[name] = Model(pieces, failures=int(retry is not None), fails=fails)
        return node(name, "llm", model=MODEL, stream=True, strategy=strategy, retry=retry)

    def container(self, seen: Sequence[str], *, may_fail: bool, level: int) -> NodeSpec:
        name = f"box{self.count}"
        mode = self.random.choice(("terminated", "terminated", "continue_on_error"))
        strategy = self.random.choice((None, None, None, *_TOLERANT))
        is_loop = self.random.random() < 0.3
        tolerates = strategy is not None or (mode != "terminated" and not is_loop)
        kind = "loop" if is_loop else "iteration"
        nodes, drawn = self.nodes(
            node(f"{name}s", f"{kind}-start"),
            may_fail=tolerates or may_fail,
            level=level + 1,
            outside=seen,
        )
        graph = SubGraph(nodes=nodes, edges=edges(*drawn), start=f"{name}s")
        inner = graph.model_dump(mode="json", exclude_defaults=True)
        if is_loop:
            return node(name, kind, sub_graph=inner, loop_count=2, strategy=strategy)
        more: dict[str, Any] = {"error_handle_mode": mode}
        if self.random.random() < 0.4:
            more |= {"is_parallel": True, "parallel_nums": 2}
        return node(
            name, kind, sub_graph=inner, iterator_selector=["sys", "items"], strategy=strategy,
            retry=retries(1, 0, retry_on_retryable_only=False) if strategy else None, **more,
        )  # fmt: skip


def _text_of(name: str) -> str:
    return f"{name}.output" if name.startswith("t") else f"{name}.text"


def _ways(made: NodeSpec) -> tuple[str, ...]:
    """The handles from which edges may lead on."""
    if made.type == "if-else":
        return (":yes", ":false")
    strategy = made.error_strategy
    return ("", ":fail-branch") if strategy and strategy.type == "fail-branch" else ("",)
