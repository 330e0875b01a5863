"""The first state of a fork: another run's state, cut back to a node.

What a fork reuses is played into a fresh state by the rules of ``decide`` itself: the results of
the finished nodes that do not stand behind NODE, in the order in which they came, over the graph
that the fork has. So edges, skipped branches, gathers, run outputs and conversation variables are
what they would be had only these nodes run; what stands behind NODE has left nothing. All other
nodes (those that ran, waited, failed or were stopped) start again, containers as a whole.

Counters: steps and tolerated failures are those of the reused nodes, so that ``max_steps`` still
bounds what a fork of a fork of a run does; usage starts at none, as reused calls are not paid
again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from xworkflow.domain import gathering, responses
from xworkflow.domain.diagnostics import Diagnostic, Report, finding
from xworkflow.domain.ids import IdSequence
from xworkflow.domain.near_miss import did_you_mean
from xworkflow.domain.plan import SOURCE_HANDLES, Plan, PlanNode
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.pool import Namespace, VariablePool
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.secret_references import NAMESPACE, is_reference, reference
from xworkflow.domain.selectors import RESERVED, Selector, show
from xworkflow.domain.state import EdgePhase, NodePhase, RunState, Said, initial_state
from xworkflow.domain.streams import visible
from xworkflow.domain.turn import Turn
from xworkflow.domain.values import JsonValue
from xworkflow.engine.compile import Compiled
from xworkflow.engine.graph_changes import changes
from xworkflow.engine.past import Ended, Note, Past, Started, Wrote
from xworkflow.errors import ValidationFailed

FORCIBLE = frozenset({"F010", "F011", "F012", "F013", "F014", "F020", "F021"})
"""What ``force`` makes a warning of; the others cannot be done at all."""

_TAKEN = NodePhase.TAKEN


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of a fork. ``values`` are written over the reused ones. ``config`` replaces
    the run's. ``now`` is Unix ms: the time limits of gathers are counted from there.
    ``secrets`` names secret variables whose values came with the new file.
    """

    from_node: str | None = None
    values: tuple[tuple[Selector, JsonValue], ...] = ()
    force: bool = False
    config: EngineConfig | None = None
    now: int = 0
    secrets: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Fork:
    """The state that a fork begins with; ids of the nodes whose results it reuses, and of those
    that it starts with. ``report`` holds warnings."""

    state: RunState
    reused: tuple[str, ...]
    starts: tuple[str, ...]
    report: Report = field(default_factory=Report)


def fork(
    past: Past,
    compiled: Compiled,
    wish: Wish,
    ids: IdSequence,
    further: Iterable[Diagnostic] = (),
) -> Fork:
    """Cut a run back to a node, in the graph that the fork is to have.

    ``further`` findings are judged with those of the graph. Raises ValidationFailed with all the
    reasons why it cannot be done. Pure.
    """
    return _Forking(past, compiled, wish, ids).fork(further)


class _Forking:
    def __init__(self, past: Past, new: Compiled, wish: Wish, ids: IdSequence) -> None:
        self.past = past
        self.old = past.compiled
        self.new = new
        self.wish = wish
        self.found: list[Diagnostic] = []
        self.based = tuple(
            node.id for node in self.old.plan.nodes if past.first.nodes[node.index] == _TAKEN
        )
        """Nodes whose results the run itself has reused."""
        self.behind = _behind(self.old.plan, new.plan, wish.from_node)
        self.reused = self.reusable()
        blank = initial_state(
            new.plan,
            pool=self.first_pool(),
            config=wish.config or past.first.config,
            id_base=ids.base,
            fake_id_prefix=ids.fake_prefix,
            fixed_timestamp=past.first.now // 1000 if past.first.fixed_time else None,
        )
        if not blank.fixed_time:
            blank = replace(blank, now=wish.now, started_at=wish.now)
        self.turn = Turn(new.plan, blank)

    def fork(self, further: Iterable[Diagnostic]) -> Fork:
        self.check_node()
        self.check_values()
        self.found += further
        self.refuse_errors()
        self.found += changes(self.old, self.past.state, self.new, self.reused)
        self.play()
        self.check_start()
        self.refuse_errors()
        state = self.state()
        self.warn()
        return Fork(
            state,
            reused=tuple(n.id for n in self.new.plan.nodes if state.nodes[n.index] == _TAKEN),
            starts=tuple(self.new.plan.nodes[index].id for index, _ in state.ready),
            report=Report(diagnostics=tuple(self.found)),
        )

    # ---- what is reused

    def reusable(self) -> frozenset[str]:
        """Finished nodes that do not stand behind NODE; those that are gone from the file too."""
        ended = {note.node_id for note in self.past.notes if isinstance(note, Ended)}
        return frozenset({*self.based, *ended} - self.behind)

    def first_pool(self) -> VariablePool:
        """What there was before any node, in the run's own beginning, or in that of its origin."""
        spaces: dict[str, Namespace] = self.past.first.pool.to_json()  # pyright: ignore[reportAssignmentType]
        dropped = {*self.based} - self.reused
        root = self.old.plan.nodes[self.old.plan.root].id
        kept = {n: s for n, s in spaces.items() if n not in dropped or n == root}
        return VariablePool(_declared(kept, self.old.schema, self.new.schema, self.wish.secrets))

    def play(self) -> None:
        """Give the reused results to a fresh run, in their order."""
        turn = self.turn
        turn.enqueue(self.new.plan.root, -1)
        self.play_base()
        for note in self.notes():
            if self.turn.failure is not None:
                return
            match note:
                case Wrote(_, values):
                    for selector, value in values:
                        turn.pool = turn.pool.set(selector, value)
                    turn.exceptions += note.exceptions
                case Started(node_id) if node_id in self.new.plan.index_of:
                    responses.container_starts(turn, self.new.plan.node(node_id))
                case Ended(node_id) if node_id in self.new.plan.index_of:
                    self.end(self.new.plan.node(node_id), note)
                case _:
                    pass
        self.keep_order()

    def notes(self) -> Iterable[Note]:
        """What reused nodes did, and what was written from outside before NODE began."""
        begun = False
        for note in self.past.notes:
            match note:
                case Started(node_id):
                    begun = begun or node_id == self.wish.from_node
                    if node_id in self.reused:
                        yield note
                case Wrote(None):
                    if not begun:
                        yield note
                case Wrote(node_id) | Ended(node_id):
                    if node_id in self.reused:
                        yield note

    def play_base(self) -> None:
        """The results that the run itself has reused: their values stand in its first pool."""
        first, plan = self.past.first, self.new.plan
        kept = [node_id for node_id in self.based if node_id in self.reused]
        kept = left = [node_id for node_id in kept if node_id in plan.index_of]
        if len(left) == len(self.based):
            self.turn.outputs, self.turn.exceptions = dict(first.outputs), first.exceptions
        else:
            self.recount(left)
        while left:  # gathers come after those that they have waited for
            ready = [n for n in left if self.is_ready(plan.node(n)) and self.has_all(n, left)]
            if not ready:
                self.cannot_reuse(plan.node(left[0]))
                return
            for node_id in ready:
                handle = _handle_taken(self.old.plan, first, node_id)
                self.advance(plan.node(node_id), handle)
                if self.turn.failure is not None:
                    return
            left = [node_id for node_id in left if node_id not in ready]
        self.keep_texts(kept)

    def keep_texts(self, kept: Collection[str]) -> None:
        """What the responses have said that the run itself has reused."""
        first, turn = self.past.first, self.turn
        if first.said is None or turn.said is None:
            return
        said = {self.old.plan.nodes[one.node].id: one.node for one in first.said}
        texts = {
            node_id: text
            for node_id, index in said.items()
            if node_id in kept
            and (text := responses.text_of(first.said, first.outputs, index)) is not None
        }
        now = [self.new.plan.nodes[one.node].id for one in turn.said]
        self.arrange([*(n for n in said if n in texts or n in now), *now], texts)

    def keep_order(self) -> None:
        """Responses follow one another as they did in the run."""
        past, turn, plan = self.past.state, self.turn, self.new.plan
        if past.said is None or turn.said is None:
            return
        before = [self.old.plan.nodes[one.node].id for one in past.said]
        now = {plan.nodes[one.node].id: one for one in turn.said}
        given = {node_id: one.node for node_id, one in now.items() if one.length is not None}
        texts = {n: responses.text_of(turn.said, turn.outputs, index) for n, index in given.items()}
        said = {node_id: text for node_id, text in texts.items() if text is not None}
        order = [*(node_id for node_id in before if node_id in now), *now]
        if len(said) == len(given) and list(dict.fromkeys(order)) != list(now):
            self.arrange(order, said)

    def arrange(self, order: Iterable[str], texts: Mapping[str, str]) -> None:
        """Make the order of the responses this one; all texts that were given so far are named."""
        turn, plan = self.turn, self.new.plan
        turn.said = tuple(Said(plan.index_of[node_id]) for node_id in dict.fromkeys(order))
        if not any(texts.values()):
            return
        turn.outputs = {k: v for k, v in turn.outputs.items() if k != responses.ANSWER}
        for node_id, text in texts.items():
            turn.add_outputs(plan.node(node_id), {responses.ANSWER: text})

    def has_all(self, node_id: str, left: Collection[str]) -> bool:
        """Whether nobody is left who gave something to the node before it ran."""
        first, plan = self.past.first, self.old.plan
        return not any(
            first.edges[edge] == EdgePhase.TAKEN and plan.nodes[plan.sources[edge]].id in left
            for edge in plan.node(node_id).in_edges
        )

    def recount(self, kept: Collection[str]) -> None:
        """Outputs and exceptions of a run whose first state is only partly reused."""
        for name, space in self.past.first.pool.to_json().items():
            if name in kept:
                node = self.new.plan.node(name)
                if node.is_output and not (node.streaming and self.new.plan.dialect == "native"):
                    self.turn.add_outputs(node, visible(space))
                tolerates = node.error_strategy.type != "none"
                self.turn.exceptions += tolerates and "error_type" in space

    def end(self, node: PlanNode, note: Ended) -> None:
        """A reused node ends in the fork's graph as it did in the run's."""
        if not self.is_ready(node):
            self.cannot_reuse(node)
            return
        self.turn.exceptions += note.exceptions
        if note.answer is not None:
            self.turn.add_outputs(node, {"answer": note.answer})
        self.turn.write(node, note.result)
        self.advance(node, note.result.edge_source_handle)

    def is_ready(self, node: PlanNode) -> bool:
        if self.turn.nodes[node.index] == NodePhase.QUEUED:
            return True
        if node.join is None or self.turn.nodes[node.index] != NodePhase.PENDING:
            return False
        # a gather whose time was up
        ins = node.in_edges
        return self.turn.edges.find(EdgePhase.TAKEN, ins.start, ins.stop) >= 0

    def advance(self, node: PlanNode, handle: str | None) -> None:
        self.turn.joins = self.turn.joins.without(str(node.index))
        self.turn.steps += not node.silent
        self.turn.advance(node, handle)
        if self.turn.failure is not None:
            chosen = "" if handle is None else f" '{handle}'"
            self.refuse(
                "F016",
                f"node '{node.id}' has chosen the handle{chosen}, from which no edge leads on: "
                f"draw one, or fork from it (--from {node.id})",
                node.id,
            )

    def cannot_reuse(self, node: PlanNode) -> None:
        missing = self.unfinished_before(node)
        why = f" after {missing}, which has not" if missing else ", which it would not reach"
        self.refuse(
            "F015",
            f"node '{node.id}' has finished, but in the file it comes{why}: "
            f"fork from it (--from {node.id}) or from before it",
            node.id,
        )

    # ---- where it starts

    def check_node(self) -> None:
        """NODE is a node of the graph itself."""
        wanted = self.wish.from_node
        if wanted is None or wanted in self.new.plan.index_of:
            return
        owner = _owner(self.new, wanted)
        if owner is not None:
            self.refuse(
                "F002",
                f"node '{wanted}' is in the body of '{owner}', and a container runs again as a "
                f"whole: fork from it (--from {owner})",
                wanted,
            )
            return
        hint = did_you_mean(wanted, self.new.plan.index_of)
        gone = " any more" if wanted in self.old.plan.index_of else ""
        self.refuse("F001", f"there is no node '{wanted}'{gone}{hint}", wanted)

    def check_values(self) -> None:
        """Values are written to what there is."""
        for selector, _ in self.wish.values:
            name = selector[0]
            if name == NAMESPACE and selector[1] in self.new.schema.secret_names:
                text = (
                    f"'{show(selector)}' is secret and cannot be set: its value would stand in the "
                    "history; give it to the group of the workers"
                )
                self.refuse("F008", text)
            if name not in RESERVED and name not in self.new.plan.index_of:
                hint = did_you_mean(name, {*self.new.plan.index_of, *RESERVED})
                text = f"'{show(selector)}' cannot be set: there is no node '{name}'{hint}"
                self.refuse("F006", text)

    def check_start(self) -> None:
        """NODE can start, or something else is left to do."""
        if any(found.code in ("F015", "F016") for found in self.found):
            return
        turn, wanted = self.turn, self.wish.from_node
        if wanted is not None:
            node = self.new.plan.node(wanted)
            self.restart_gather(node)
            if turn.nodes[node.index] == NodePhase.SKIPPED:
                self.refuse(
                    "F004",
                    f"node '{wanted}' was skipped: the branch before it went another way; fork "
                    "from the node that chose",
                    wanted,
                )
            elif turn.nodes[node.index] != NodePhase.QUEUED:
                missing = self.unfinished_before(node)
                self.refuse(
                    "F003",
                    f"node '{wanted}' cannot start: {missing or 'what comes before it'} has not "
                    "finished; fork from there, or without --from",
                    wanted,
                )
        elif not self.starting():
            self.refuse(
                "F005",
                "all that the run can reach has finished: name the node to start from (--from)",
            )

    def restart_gather(self, node: PlanNode) -> None:
        """A gather that has run before goes by what had arrived then, and waits for no more."""
        done = any(isinstance(n, Ended) and n.node_id == node.id for n in self.past.notes)
        if node.join is None or not (done or node.id in self.based) or not self.is_ready(node):
            return
        gathering.joined(self.turn, node)
        self.turn.joins = self.turn.joins.without(str(node.index))
        if self.turn.nodes[node.index] == NodePhase.PENDING:
            self.turn.enqueue(node.index, -1)

    def unfinished_before(self, node: PlanNode) -> str:
        """The nodes before it whose edges are open, for people."""
        plan, edges = self.new.plan, self.turn.edges
        open_ = [plan.sources[e] for e in node.in_edges if edges[e] == EdgePhase.PENDING]
        return ", ".join(f"'{plan.nodes[index].id}'" for index in dict.fromkeys(open_))

    def starting(self) -> tuple[tuple[int, int], ...]:
        turn = self.turn
        return tuple(entry for entry in turn.ready if turn.nodes[entry[0]] == NodePhase.QUEUED)

    def state(self) -> RunState:
        pool = self.turn.pool
        for selector, value in self.wish.values:
            pool = pool.set(selector, value)
        return replace(self.turn.freeze(), phase="new", ready=self.starting(), pool=pool, events=0)

    # ---- findings

    def warn(self) -> None:
        """Findings about what the fork does otherwise than one may think."""
        root = self.new.plan.root
        again = {n.id for n in self.new.plan.nodes if self.turn.nodes[n.index] != _TAKEN}
        for selector, _ in self.wish.values:
            if selector[0] in again - {self.new.plan.nodes[root].id}:
                text = f"'{show(selector)}' is set, but '{selector[0]}' runs and may overwrite it"
                self.found.append(finding("F007", text, node=selector[0]))
        wanted = self.wish.from_node
        began = Started(wanted) in self.past.notes if wanted is not None else True
        if not began and wanted in self.based and self.new.schema.conversation_variables:
            text = (
                f"the run is a fork itself, and has reused '{wanted}': conversation variables are "
                "as they were when it began"
            )
            self.found.append(finding("F023", text, node=wanted))

    def refuse(self, code: str, message: str, node_id: str | None = None) -> None:
        made = finding(code, message, node=node_id)
        self.found.append(made.model_copy(update={"level": "error"}))

    def refuse_errors(self) -> None:
        if self.wish.force:
            self.found = [
                found.model_copy(update={"level": "warning"}) if found.code in FORCIBLE else found
                for found in self.found
            ]
        report = Report(diagnostics=tuple(dict.fromkeys(self.found)))
        if not report.is_valid:
            raise ValidationFailed(report, "the fork")


def _behind(old: Plan, new: Plan, node_id: str | None) -> frozenset[str]:
    """NODE and all that can be reached from it, by the edges of either graph."""
    if node_id is None:
        return frozenset()
    following: dict[str, list[str]] = {}
    for plan in (old, new):
        for source, target in zip(plan.sources, plan.targets, strict=True):
            following.setdefault(plan.nodes[source].id, []).append(plan.nodes[target].id)
    reached, todo = {node_id}, [node_id]
    while todo:
        for target in following.get(todo.pop(), ()):
            if target not in reached:
                reached.add(target)
                todo.append(target)
    return frozenset(reached)


def _handle_taken(plan: Plan, state: RunState, node_id: str) -> str | None:
    """The handle that a node must have chosen, by the edges that were taken from it."""
    node = plan.node(node_id)
    taken = [plan.handles[e] for e in node.out_edges if state.edges[e] == EdgePhase.TAKEN]
    if not node.is_branch or not node.out_edges:
        return None
    if not taken:
        # a branch of Dify's that leads nowhere; a native one that had only its fail-branch drawn
        return "" if plan.dialect == "dify" else None
    return None if set(taken) <= SOURCE_HANDLES else taken[0]


def _owner(compiled: Compiled, node_id: str) -> str | None:
    """The container of the graph in whose body, at any depth, a node is."""
    for index, body in compiled.bodies.items():
        if node_id in body.plan.index_of or _owner(body, node_id) is not None:
            return compiled.plan.nodes[index].id
    return None


def _declared(
    spaces: Mapping[str, Namespace],
    old: WorkflowSchema,
    new: WorkflowSchema,
    secrets: frozenset[str],
) -> dict[str, Namespace]:
    """With the variables that the new file declares: new ones have their values, and so have those
    of the environment that the run did not override. A secret stays where the run has found it,
    unless the new file brought its value along."""
    if old.text == new.text:
        return dict(spaces)
    env = dict(spaces.get("env") or {})
    was = {variable.name: variable.value for variable in old.environment_variables}
    for variable in new.environment_variables:
        given = env.get(variable.name, was.get(variable.name))
        if not variable.is_secret and given == was.get(variable.name):
            env[variable.name] = variable.value
    for name in new.secret_names:
        if name in secrets or not is_reference(env.get(name)):
            env[name] = reference(name, new.hash)
    declared = {variable.name: variable.default for variable in new.conversation_variables}
    conversation = {**declared, **(spaces.get("conversation") or {})}
    return {**spaces, "env": env, "conversation": conversation}
