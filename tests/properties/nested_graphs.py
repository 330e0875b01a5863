"""Random nested graphs of real node types, and what each of their nodes computes.

They run in the naive interpreter, in the in-memory shell and on Temporal alike: ``code`` and
``http-request`` nodes compute the same number of what they read, whoever runs them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, TypeAlias, cast

from tests.workflows.drawing import edges
from xworkflow.domain.schema import ErrorStrategy, NodeSpec, RetryConfig, SubGraph, WorkflowSchema

Selector: TypeAlias = tuple[str, str]
Strategy = Literal["none", "fail-branch", "default-value"]
Kind = Literal["iteration", "loop", "filter", "map", "reduce"]

SIZE = 97
DEFAULT = 7
INPUTS: dict[str, Any] = {
    "n": 5,
    "empty": [],
    "list": [3, 11, 4, 8],
    "lists": [[1, 2], [], [9, 30, 6]],
    "text": "no list",
}
SCOPE = "__scope__"


@dataclass(frozen=True)
class Work:
    """Gives a number made of what it reads, and whether it is odd. ``away`` ones are requests.

    Fails for good where the number leaves this rest, and passingly in its first ``flaky`` attempts.
    """

    id: str
    reads: tuple[Selector, ...]
    constant: int
    away: bool = False
    fails: tuple[int, int] | None = None
    flaky: int = 0
    retries: int = 0
    strategy: Strategy = "none"

    @property
    def output(self) -> Selector:
        return self.id, "body" if self.away else "result"


@dataclass(frozen=True)
class First:
    """The first value that is not null."""

    id: str
    reads: tuple[Selector, ...]
    strategy: Strategy = "none"


@dataclass(frozen=True)
class Choice:
    """``yes`` where the value's text ends with one of these digits."""

    id: str
    reads: tuple[Selector, ...]
    digits: str
    strategy: Strategy = "none"


@dataclass(frozen=True)
class Ask:
    """Asks a person for ``v``; whoever answers says the constant."""

    id: str
    constant: int
    strategy: Strategy = "none"

    @property
    def answer(self) -> dict[str, Any]:
        return {"v": str(self.constant)}


@dataclass(frozen=True)
class Meeting:
    """A gather of all that leads to it."""

    id: str
    reads: tuple[Selector, ...]
    strategy: Strategy = "none"


@dataclass(frozen=True)
class Container:
    """Repeats a body, in one of the ways there are."""

    id: str
    kind: Kind
    source: Selector
    body: Nest
    mode: str = "terminated"
    parallelism: int = 1
    limit: int = 0
    retries: int = 0
    strategy: Strategy = "none"

    @property
    def output(self) -> Selector:
        return self.id, "out"


Inner: TypeAlias = Work | First | Choice | Ask | Meeting | Container


@dataclass(frozen=True)
class Nest:
    """One graph: its start node, its nodes in an order that follows the edges, and its end node."""

    start: str
    nodes: tuple[Inner, ...]
    end: str
    outputs: tuple[tuple[str, Selector], ...]
    edges: tuple[tuple[str, str, str], ...]
    """(source, handle, target)"""


def weigh(value: Any) -> int:
    """A number for any value; ``SCRIPT`` does the same."""
    match value:
        case None:
            return 0
        case bool() | int():
            return int(value)
        case str():
            return int(value) if re.fullmatch("[0-9]+", value) else len(value)
        case list():
            items = cast("list[Any]", value)
            return sum(weigh(item) for item in items) + len(items)
        case _:
            return sum(weigh(item) for item in value.values()) + len(value)


def number(work: Work, values: Sequence[Any]) -> int:
    return (work.constant + sum(weigh(value) for value in values)) % SIZE


def fails_for_good(work: Work, result: int) -> bool:
    return work.fails is not None and result % work.fails[0] == work.fails[1]


# ---- as a schema

SCRIPT = """
function weigh(v) {
  if (v === null || v === undefined) return 0;
  if (typeof v === 'boolean') return v ? 1 : 0;
  if (typeof v === 'number') return v;
  if (typeof v === 'string') return /^[0-9]+$/.test(v) ? parseInt(v, 10) : v.length;
  const items = Array.isArray(v) ? v : Object.values(v);
  return items.reduce((sum, item) => sum + weigh(item), items.length);
}
function main(inputs) {
  const result = (CONSTANT + Object.values(inputs).reduce((s, v) => s + weigh(v), 0)) % SIZE;
  if (FAILS) throw new Error('it fails for good');
  return { result, odd: result % 2 === 1 };
}
"""


def schema_of(nest: Nest, name: str = "nested") -> WorkflowSchema:
    drawn = sub_graph(nest, variables=tuple(INPUTS))
    return WorkflowSchema(name=name, nodes=drawn.nodes, edges=drawn.edges)


def sub_graph(nest: Nest, variables: Sequence[str] = ()) -> SubGraph:
    start = _node(nest.start, "start", variables=[{"variable": name} for name in variables])
    end = _node(
        nest.end,
        "end",
        outputs=[{"variable": name, "value_selector": list(of)} for name, of in nest.outputs],
    )
    drawn = (f"{s}:{h} > {t}" if h != "source" else f"{s} > {t}" for s, h, t in nest.edges)
    return SubGraph(nodes=(start, *map(_spec, nest.nodes), end), edges=edges(*drawn))


def _spec(inner: Inner) -> NodeSpec:
    match inner:
        case Work():
            return _work(inner)
        case First():
            return _node(inner.id, "variable-aggregator", variables=[list(s) for s in inner.reads])
        case Choice():
            conditions = [
                {"variable_selector": list(of), "comparison_operator": "end_with", "value": digit}
                for of in inner.reads
                for digit in inner.digits
            ]
            case_ = {"case_id": "yes", "logical_operator": "or", "conditions": conditions}
            return _node(inner.id, "if-else", cases=[case_])
        case Ask():
            fields = [{"variable": "v", "field_type": "text", "required": True}]
            return _node(inner.id, "human-input", form_fields=fields)
        case Meeting():
            return _node(
                inner.id, "gather", variables=[list(s) for s in inner.reads],
                join_mode={"type": "all"},
            )  # fmt: skip
        case Container():
            return _container(inner)


def _work(work: Work) -> NodeSpec:
    policies: dict[str, Any] = {}
    if work.strategy != "none":
        given = {work.output[1]: DEFAULT} if work.strategy == "default-value" else {}
        policies["error_strategy"] = ErrorStrategy(type=work.strategy, default_value=given)
    if work.retries:
        policies["retry_config"] = RetryConfig(max_retries=work.retries, retry_interval=5)
    if work.away:
        rest, of = work.fails or (0, 1)
        path = "/".join(f"v{{{{#{node}.{name}#}}}}" for node, name in work.reads)
        url = f"{{{{#sys.base_url#}}}}/{rest}-{of}/{work.flaky}/{work.constant}/{path}"
        return _node(
            work.id, "http-request", method="GET", url=url, fail_on_error_status=True, **policies
        )
    fails = "false" if work.fails is None else f"result % {work.fails[0]} === {work.fails[1]}"
    script = SCRIPT.replace("CONSTANT", str(work.constant)).replace("FAILS", fails)
    bindings = [
        {"variable": f"v{i}", "value_selector": list(of)} for i, of in enumerate(work.reads)
    ]
    return _node(
        work.id, "code", code=script.replace("SIZE", str(SIZE)), variables=bindings, **policies
    )


def _container(container: Container) -> NodeSpec:
    policies: dict[str, Any] = {}
    if container.strategy != "none":
        given = {"out": DEFAULT} if container.strategy == "default-value" else {}
        policies["error_strategy"] = ErrorStrategy(type=container.strategy, default_value=given)
    if container.retries:
        policies["retry_config"] = RetryConfig(
            max_retries=container.retries, retry_on_retryable_only=False
        )
    body = sub_graph(container.body).model_dump(mode="json", exclude_defaults=True)
    common: dict[str, Any] = {"sub_graph": body, "output_variable": "out", **policies}
    source = list(container.source)
    match container.kind:
        case "iteration":
            return _node(
                container.id, "iteration", input_selector=source,
                parallel=container.parallelism > 1, parallelism=container.parallelism,
                error_handle_mode=container.mode, **common,
            )  # fmt: skip
        case "loop":
            return _node(
                container.id, "loop", initial_vars={"n": 0}, max_iterations=container.limit,
                condition={
                    "variable_selector": ["loop", "n"],
                    "comparison_operator": "less_than",
                    "value": SIZE * 2 // 3,
                },
                **common,
            )  # fmt: skip
        case _:
            return _node(
                container.id, "list-operator", operation=container.kind, input_selector=source,
                parallel=container.parallelism > 1, initial_value=1, **common,
            )  # fmt: skip


def _node(
    id_: str,
    type_: str,
    *,
    error_strategy: ErrorStrategy | None = None,
    retry_config: RetryConfig | None = None,
    **data: Any,
) -> NodeSpec:
    return NodeSpec(
        id=id_,
        type=type_,
        title=id_.upper(),
        data={"type": type_, "title": id_.upper(), **data},
        error_strategy=error_strategy,
        retry_config=retry_config,
    )


def works_of(nest: Nest) -> dict[str, Work]:
    """All works of a graph and its bodies, by their ids."""
    found: dict[str, Work] = {}
    for inner in nest.nodes:
        if isinstance(inner, Work):
            found[inner.id] = inner
        elif isinstance(inner, Container):
            found |= works_of(inner.body)
    return found


def asks_of(nest: Nest) -> dict[str, Ask]:
    """All questions of a graph and its bodies, by their ids."""
    found: dict[str, Ask] = {}
    for inner in nest.nodes:
        if isinstance(inner, Ask):
            found[inner.id] = inner
        elif isinstance(inner, Container):
            found |= asks_of(inner.body)
    return found


# ---- drawing one


@dataclass
class Drawer:
    """Draws a graph. Ids are unique over all bodies."""

    random: Random
    depth: int = 3
    max_nodes: int = 5
    failing: bool = True
    """Whether a run, or a body where that is not tolerated, may fail."""
    away: bool = True
    people: bool = False
    """Whether there are questions to people, and gathers."""
    count: int = 0
    lists: list[Selector] = field(default_factory=list[Selector])

    def draw(self) -> Nest:
        visible: list[Selector] = [("start", "n")]
        self.lists = [("start", name) for name in ("empty", "list", "list", "lists")]
        return self._nest("start", visible, visible, self.lists, 0)

    def _id(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def _nest(  # noqa: PLR0913 - what is in scope where a body is drawn
        self,
        start: str,
        visible: list[Selector],
        scalars: list[Selector],
        lists: list[Selector],
        level: int,
        *,
        role: Kind | None = None,
    ) -> Nest:
        names, nodes, drawn = [start], list[Inner](), list[tuple[str, str, str]]()
        # what each node may read: the outputs of those that lead to it, and what is outside
        above: dict[str, frozenset[str]] = {start: frozenset()}
        handles: dict[str, tuple[str, ...]] = {start: ("source",)}
        outputs: dict[str, list[Selector]] = {start: []}
        for _ in range(self.random.randint(1, self.max_nodes)):
            id_ = self._id("w")
            sources = self.random.sample(names, min(len(names), self.random.choice((1, 1, 2, 3))))
            into = [(source, self.random.choice(handles[source]), id_) for source in sources]
            above[id_] = frozenset[str]().union(*(above[s] | {s} for s in sources))
            seen = [o for name in names if name in above[id_] for o in outputs[name]]
            inner = self._inner(id_, [*visible, *seen], [*scalars, *_scalars(seen)], lists, level)
            drawn += into
            nodes.append(inner)
            names.append(id_)
            handles[id_] = _handles(inner)
            outputs[id_] = _outputs(inner)
        end = self._id("end")
        for name in names:
            for handle in handles[name]:
                if handle == "fail-branch" and self.random.random() < 0.3:
                    continue
                if not any(s == name and h == handle for s, h, _ in drawn):
                    drawn.append((name, handle, end))
        ends_in = {s for s, _, t in drawn if t == end}
        above_end = frozenset[str]().union(*(above[s] | {s} for s in ends_in))
        seen = [*visible, *(o for n in names if n in above_end for o in outputs[n])]
        return Nest(start, tuple(nodes), end, self._end_outputs(seen, role), tuple(drawn))

    def _end_outputs(
        self, seen: list[Selector], role: Kind | None
    ) -> tuple[tuple[str, Selector], ...]:
        chosen = [self.random.choice(seen) for _ in range(self.random.randint(1, 3))]
        named = [(f"x{i}", of) for i, of in enumerate(chosen)]
        results = [of for of in seen if of[1] in ("result", "body")] or seen
        if role == "loop":
            named.append(("n", results[-1]))
        elif role == "filter":
            named.append(("keep", next((of for of in reversed(seen) if of[1] == "odd"), seen[-1])))
        elif role in ("map", "reduce") and self.random.random() < 0.7:
            named.append(("value", results[-1]))
        return tuple(named)

    def _inner(
        self,
        id_: str,
        seen: list[Selector],
        scalars: list[Selector],
        lists: list[Selector],
        level: int,
    ) -> Inner:
        if self.people and self.random.random() < 0.25:
            if self.random.random() < 0.6:
                return Ask(id_, self.random.randrange(SIZE))
            return Meeting(id_, tuple(self._some(seen, 3)))
        dice = self.random.random()
        if level < self.depth and dice < 0.35:
            return self._container(id_, seen, scalars, lists, level)
        if dice < 0.45:
            return Choice(id_, (self.random.choice(scalars),), self.random.choice(("02468", "159")))
        if dice < 0.52:
            return First(id_, tuple(self._some(seen, 3)))
        away = self.away and self.random.random() < 0.4
        strategy = self._strategy()
        # failures that nobody tolerates: only where the run may fail
        may_fail = self.failing or strategy != "none"
        fails = (self.random.choice((3, 4, 7)), 1) if may_fail and dice < 0.8 else None
        retries = self.random.choice((0, 0, 2)) if away else 0
        return Work(
            id_,
            tuple(self._some(scalars if away else seen, 2)),
            self.random.randrange(SIZE),
            away=away,
            fails=fails,
            flaky=self.random.randint(0, retries),
            retries=retries,
            strategy=strategy,
        )

    def _container(
        self,
        id_: str,
        seen: list[Selector],
        scalars: list[Selector],
        lists: list[Selector],
        level: int,
    ) -> Container:
        kind: Kind = self.random.choice(
            ("iteration", "iteration", "iteration", "loop", "filter", "map", "reduce")
        )
        source = self.random.choice(lists)
        if self.failing and self.random.random() < 0.05:
            source = ("start", "text")
        tolerant = self.random.choice(("remove_abnormal", "continue_on_error"))
        mode = self.random.choice(("terminated", tolerant)) if self.failing else "terminated"
        strategy = self._strategy() if self.failing else "none"
        scope = {
            "loop": [("loop", "n"), (SCOPE, "_iteration")],
            "reduce": [(SCOPE, "item"), (SCOPE, "index"), (SCOPE, "accumulator")],
        }.get(kind, [(SCOPE, "item"), (SCOPE, "index")])
        # items of a list of lists are lists; texts in a URL are short
        plain = [of for of in scope if of[1] in ("index", "_iteration")]
        deeper = [*lists, (SCOPE, "item")] if source == ("start", "lists") else lists
        deeper = deeper if source == ("start", "lists") else [o for o in deeper if o[0] != SCOPE]
        shadowed = [of for of in seen if of not in scope]
        body = self._nest(
            self._id("s"),
            [*shadowed, *scope],
            [*(of for of in scalars if of not in scope), *plain],
            deeper if kind != "loop" else lists,
            level + 1,
            role=kind,
        )
        return Container(
            id_,
            kind,
            source,
            body,
            mode=mode,
            parallelism=self.random.choice((1, 2, 3, 10)),
            limit=self.random.randint(2, 4),
            retries=self.random.choice((0, 0, 0, 1)) if self.failing else 0,
            strategy=strategy,
        )

    def _strategy(self) -> Strategy:
        return self.random.choice(("none", "none", "fail-branch", "default-value"))

    def _some(self, of: Sequence[Selector], most: int) -> list[Selector]:
        return [self.random.choice(of) for _ in range(self.random.randint(1, most))]


def _handles(inner: Inner) -> tuple[str, ...]:
    if isinstance(inner, Choice):
        return "yes", "false"
    if inner.strategy == "fail-branch":
        return "source", "fail-branch"
    return ("source",)


def _outputs(inner: Inner) -> list[Selector]:
    match inner:
        case Work(id=id_, away=False):
            return [(id_, "result"), (id_, "odd")]
        case Work() | Container():
            return [inner.output]
        case First(id=id_):
            return [(id_, "output")]
        case Choice(id=id_):
            return [(id_, "selected_case")]
        case Ask(id=id_):
            return [(id_, "v")]
        case Meeting(id=id_):
            return [(id_, "results"), (id_, "completed_count")]


def _scalars(selectors: Sequence[Selector]) -> list[Selector]:
    return [of for of in selectors if of[1] in ("result", "body", "v", "completed_count")]
