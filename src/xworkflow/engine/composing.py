"""The chunk events of a run: a reader puts them between the events that ``decide`` emitted.

Chunks are in no history. The pieces of an output are found again from their lengths, which stand
beside it in the pool once its node has ended; who reads live gets the same pieces earlier, from the
stream store. Both go through one fold, so a closed run reads as it was seen live, but for the place
of chunks among the events of other nodes.

A composer belongs to one graph of one run: a body that runs in a child workflow has its own.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias, cast

from xworkflow.domain import events
from xworkflow.domain.events import Content, GraphEngineEvent
from xworkflow.domain.ids import derived_id
from xworkflow.domain.placeholders import segments
from xworkflow.domain.plan import Placement, PlanNode
from xworkflow.domain.selectors import Selector
from xworkflow.domain.state import EdgePhase, NodePhase, RunState
from xworkflow.domain.streams import CHUNKS, pieces_at
from xworkflow.domain.values import display
from xworkflow.engine.compile import Compiled, CompiledNode
from xworkflow.nodes.answer import AnswerData
from xworkflow.nodes.end import EndData

Composed: TypeAlias = GraphEngineEvent | Content
"""An event as it came in, or a chunk that has no place in the log of its own."""

_ENDED: Final = frozenset({"node_run_succeeded", "node_run_exception"})
_NEVER: Final = frozenset({NodePhase.SKIPPED, NodePhase.CANCELLED, NodePhase.FAILED})
_OVER: Final = frozenset({NodePhase.TAKEN, *_NEVER})
_BETWEEN_OUTPUTS: Final = "\n"
_LITERAL: Final = "answer"
"""The variable that a text of the template itself belongs to."""


def composer(compiled: Compiled, id_base: str) -> Composer:
    """The composer of a graph's dialect. ``id_base`` (the execution id) makes its ids unique."""
    kind = DifyComposer if compiled.plan.dialect == "dify" else NativeComposer
    return kind(compiled, id_base)


@dataclass(frozen=True, slots=True)
class _Source:
    """What is known of a value: its pieces so far, and whether these are all."""

    pieces: Sequence[str]
    closed: bool


class Composer:
    """Folds over events and, for live readers, over deltas. Deterministic; holds what was shown."""

    def __init__(self, compiled: Compiled, id_base: str) -> None:
        self.plan = compiled.plan
        self.nodes = compiled.nodes
        self._id_base = id_base
        self._state: RunState | None = None
        self._live: dict[Selector, list[str]] = {}
        self._chunks = 0

    def compose(self, state: RunState, given: Iterable[GraphEngineEvent]) -> list[Composed]:
        """The events that one call of ``decide`` emitted, with the chunks that belong before them.

        ``state`` is the one after that call.
        """
        self._state = state
        composed: list[Composed] = []
        for event in given:
            if event.type in _ENDED:
                composed += self._before_end(self.plan.node(event.data["node_id"]))
            composed.append(event)
            if event.type == "node_run_started" and self._live:
                composed += self._flush()  # deltas may be quicker than the history
        return composed

    def delta(self, node_id: str, variable: str, text: str) -> list[Content]:
        """The next live piece of an output; the chunks that can be shown now."""
        if self._is_over(node_id):
            return []
        self._live.setdefault((node_id, variable), []).append(text)
        return [] if self._state is None else self._flush()

    def replaced(self, node_id: str) -> list[Content]:
        """A node starts its output again (its activity was lost, or it is retried)."""
        if self._is_over(node_id):
            return []
        for selector in [s for s in self._live if s[0] == node_id]:
            del self._live[selector]
        return self._restart(node_id)

    @abstractmethod
    def _before_end(self, node: PlanNode) -> list[Content]:
        """The chunks to show before the event that a node has ended."""

    @abstractmethod
    def _flush(self) -> list[Content]:
        """The chunks that can be shown now."""

    @abstractmethod
    def _restart(self, node_id: str) -> list[Content]:
        """Forget what was shown of a node that has not ended."""

    def _phase(self, node_id: str) -> int:
        return 0 if self._state is None else self._state.nodes[self.plan.index_of[node_id]]

    def _is_over(self, node_id: str) -> bool:
        unknown = node_id not in self.plan.index_of
        return unknown or self._phase(node_id) in _OVER

    def _source(self, selector: Selector) -> _Source:
        """A value of the pool, or what has come of it so far."""
        assert self._state is not None  # noqa: S101 - nothing is shown before the first event
        if selector[0] in self.plan.index_of:
            phase = self._phase(selector[0])
            if phase in _NEVER:
                return _Source((), closed=True)
            if phase != NodePhase.TAKEN:
                live = self._live.get(selector, ()) if phase == NodePhase.RUNNING else ()
                return _Source(live, closed=False)
        return _Source(self._pieces(selector), closed=True)

    def _pieces(self, selector: Selector) -> Sequence[str]:
        assert self._state is not None  # noqa: S101 - see _source
        get = self._state.pool.get
        pieces = pieces_at(get, selector)
        if pieces is not None:
            return pieces
        text = display(get(selector))
        return (text,) if text else ()

    def _chunk(self, node: PlanNode, selector: Selector, text: str, *, is_final: bool) -> Content:
        self._chunks += 1
        chunk_id = derived_id(f"{self._id_base}:chunk:{self._chunks}")
        return events.node_run_stream_chunk(node, chunk_id, selector, text, is_final=is_final)


@dataclass(slots=True)
class _Shown:
    """The pieces of one value that were shown, in one place."""

    pieces: list[str] = field(default_factory=list[str])

    def rest(self, source: _Source) -> Sequence[str] | None:
        """What is to be shown next; None where what was shown is not how the value begins."""
        count = len(self.pieces)
        if list(source.pieces[:count]) != self.pieces:
            return None
        rest = source.pieces[count:]
        self.pieces += rest
        return rest


class NativeComposer(Composer):
    """Each llm that streams has its chunks, whatever becomes of them (spec/graph.md 8)."""

    def __init__(self, compiled: Compiled, id_base: str) -> None:
        super().__init__(compiled, id_base)
        self._streams = {c.node.id for c in compiled.nodes if c.type.streams(c.node)}
        self._shown: dict[Selector, _Shown] = {}

    def _before_end(self, node: PlanNode) -> list[Content]:
        assert self._state is not None  # noqa: S101 - compose has set it
        if node.id not in self._streams:
            return []
        raw = self._state.pool.get((node.id, CHUNKS))
        named = list(cast("dict[str, object]", raw)) if isinstance(raw, dict) else []
        live = [selector[1] for selector in self._shown if selector[0] == node.id]
        found: list[Content] = []
        for variable in dict.fromkeys([*named, *live]):
            found += self._show(node, (node.id, variable))
            self._shown.pop((node.id, variable), None)
            self._live.pop((node.id, variable), None)
        return found

    def _flush(self) -> list[Content]:
        return [
            content
            for selector in self._live
            if selector[0] in self._streams
            for content in self._show(self.plan.node(selector[0]), selector)
        ]

    def _restart(self, node_id: str) -> list[Content]:
        node = self.plan.node(node_id)
        shown = [s for s, seen in self._shown.items() if s[0] == node_id and seen.pieces]
        for selector in shown:
            del self._shown[selector]
        return [events.node_run_stream_replaced(node, selector) for selector in shown]

    def _show(self, node: PlanNode, selector: Selector) -> list[Content]:
        source = self._source(selector)
        found: list[Content] = []
        rest = self._shown.setdefault(selector, _Shown()).rest(source)
        if rest is None:
            found.append(events.node_run_stream_replaced(node, selector))
            self._shown[selector] = _Shown(list(source.pieces))
            rest = source.pieces
        for number, piece in enumerate(rest, 1):
            is_final = source.closed and number == len(rest)
            found.append(self._chunk(node, selector, piece, is_final=is_final))
        return found


@dataclass(slots=True)
class _Session:
    """A response (an answer, or an end) on its way to the reader.

    ``gates`` decide whether it comes: branches, containers, other responses. ``writers`` come
    before it and may change what it says. ``settled`` has its values once it has been given.
    """

    node: PlanNode
    segments: tuple[str | Selector, ...]
    gates: frozenset[int]
    writers: frozenset[int]
    at: int = 0
    shown: _Shown = field(default_factory=_Shown)
    settled: dict[Selector, _Source] = field(default_factory=dict[Selector, _Source])

    def hangs_on(self, index: int) -> bool:
        return index == self.node.index or index in self.gates or index in self.writers

    @property
    def is_done(self) -> bool:
        return self.at == len(self.segments)

    def next_segment(self) -> None:
        self.at += 1
        self.shown = _Shown()


class DifyComposer(Composer):
    """Responses print one after another, each as its template says, as soon as it is certain.

    The chunks of a value are those of its node; the texts between are the response's own.
    """

    def __init__(self, compiled: Compiled, id_base: str) -> None:
        super().__init__(compiled, id_base)
        self._waiting = [s for c in compiled.nodes if (s := self._session(c)) is not None]
        self._queue: list[_Session] = []
        self._begun = False

    def _session(self, compiled: CompiledNode) -> _Session | None:
        template = _template(compiled)
        if not template:
            return None
        node = self.plan.node(compiled.node.id)
        printed = {segment[:2] for segment in template if not isinstance(segment, str)}
        before = self._ancestors(node.index)
        gates = {n.index for n in self.plan.nodes if n.index in before and _is_gate(n)}
        writers = {index for index in before if self._writes(index, printed)}
        return _Session(node, template, frozenset(gates), frozenset(writers))

    def _ancestors(self, index: int) -> set[int]:
        found: set[int] = set()
        todo = [index]
        while todo:
            for edge in self.plan.nodes[todo.pop()].in_edges:
                source = self.plan.sources[edge]
                if source not in found:
                    found.add(source)
                    todo.append(source)
        return found

    def _writes(self, index: int, printed: set[Selector]) -> bool:
        """Whether a node may change what is printed; of a container nobody knows."""
        compiled = self.nodes[index]
        rewrites = compiled.type.rewrites(compiled.node)
        is_container = self.plan.nodes[index].placement is Placement.CHILD
        return is_container or any(selector[:2] in printed for selector in rewrites)

    def _before_end(self, node: PlanNode) -> list[Content]:
        self._activate(node)
        own = [s for s in self._queue if s.node is node]
        for session in own:
            self._settle(session)
        found = self._flush()
        for selector in [s for s in self._live if s[0] == node.id]:
            del self._live[selector]
        return found

    def _activate(self, ended: PlanNode) -> None:
        """Queue the responses that this end has made certain, in the order of the drawing."""
        first = not self._begun
        self._begun = True
        for session in list(self._waiting):
            if session.node is ended or (
                (first or session.hangs_on(ended.index)) and self._is_certain(session)
            ):
                self._waiting.remove(session)
                self._queue.append(session)

    def _is_certain(self, session: _Session) -> bool:
        """Whether a way leads to the response on which nothing is left to be decided, and nothing
        that comes before it may still change what it says."""
        assert self._state is not None  # noqa: S101 - compose has set it
        if any(self._state.nodes[index] not in _OVER for index in session.writers):
            return False
        todo = [self.plan.root]
        seen = set(todo)
        while todo:
            node = self.plan.nodes[todo.pop()]
            if node is session.node:
                return True
            for edge in node.out_edges:
                phase = self._state.edges[edge]
                is_open = phase == EdgePhase.TAKEN or (
                    phase == EdgePhase.PENDING and node.index not in session.gates
                )
                target = self.plan.targets[edge]
                if is_open and target not in seen:
                    seen.add(target)
                    todo.append(target)
        return False

    def _settle(self, session: _Session) -> None:
        """The response has been given: its values are those of now, and what has none prints
        nothing."""
        for segment in session.segments[session.at :]:
            if not isinstance(segment, str):
                source = self._source(segment)
                session.settled[segment] = source if source.closed else _Source((), closed=True)

    def _flush(self) -> list[Content]:
        found: list[Content] = []
        while self._queue:
            session = self._queue[0]
            if self._phase(session.node.id) not in _NEVER:
                found += self._print(session)
                if not session.is_done:
                    break
            self._queue.pop(0)
        return found

    def _print(self, session: _Session) -> list[Content]:
        found: list[Content] = []
        while not session.is_done:
            segment = session.segments[session.at]
            if isinstance(segment, str):
                selector = (session.node.id, _LITERAL)
                found.append(self._chunk(session.node, selector, segment, is_final=True))
                session.next_segment()
                continue
            source = session.settled.get(segment) or self._source(segment)
            found += self._show(session, segment, source)
            if not source.closed:
                break
            session.next_segment()
        return found

    def _show(self, session: _Session, selector: Selector, source: _Source) -> list[Content]:
        index = self.plan.index_of.get(selector[0])
        node = session.node if index is None else self.plan.nodes[index]
        found: list[Content] = []
        rest = session.shown.rest(source)
        if rest is None:
            found.append(events.node_run_stream_replaced(node, selector))
            session.shown = _Shown(list(source.pieces))
            rest = source.pieces
        for number, piece in enumerate(rest, 1):
            is_final = source.closed and number == len(rest)
            found.append(self._chunk(node, selector, piece, is_final=is_final))
        return found

    def _restart(self, node_id: str) -> list[Content]:
        session = self._queue[0] if self._queue else None
        if session is None or session.is_done or not session.shown.pieces:
            return []
        segment = session.segments[session.at]
        if isinstance(segment, str) or segment[0] != node_id:
            return []
        session.shown = _Shown()
        return [events.node_run_stream_replaced(self.plan.node(node_id), segment)]


def _is_gate(node: PlanNode) -> bool:
    return node.is_branch or node.is_output or node.placement is Placement.CHILD


def _template(compiled: CompiledNode) -> tuple[str | Selector, ...]:
    """What a response prints; nothing for any other node."""
    match compiled.node.data:
        case AnswerData(answer=answer):
            return segments(answer, "dify")
        case EndData(outputs=outputs):
            found: list[str | Selector] = []
            for output in outputs:
                found += [_BETWEEN_OUTPUTS, output.value_selector]
            return tuple(found[1:])
        case _:
            return ()
