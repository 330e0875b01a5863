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
from xworkflow.domain.plan import PlanNode
from xworkflow.domain.responses import NEVER, OVER, text_of
from xworkflow.domain.selectors import Selector
from xworkflow.domain.state import NodePhase, RunState, Said
from xworkflow.domain.streams import CHUNKS, pieces_at
from xworkflow.domain.values import display
from xworkflow.engine.compile import Compiled
from xworkflow.engine.responding import Template, template_of

Composed: TypeAlias = GraphEngineEvent | Content
"""An event as it came in, or a chunk that has no place in the log of its own."""

_ENDED: Final = frozenset({"node_run_succeeded", "node_run_exception"})
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
            # deltas may be quicker than the history; a fork brings along what was said
            if event.type == "checkpoint_resumed" or (
                event.type == "node_run_started" and self._live
            ):
                composed += self._flush()
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
        return unknown or self._phase(node_id) in OVER

    def _source(self, selector: Selector) -> _Source:
        """A value of the pool, or what has come of it so far."""
        assert self._state is not None  # noqa: S101 - nothing is shown before the first event
        if selector[0] in self.plan.index_of:
            phase = self._phase(selector[0])
            if phase in NEVER:
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
    """A response on its way to the reader. ``before`` are the nodes that have ended when it starts.

    ``settled`` has its values once it has been given; ``text`` is what was shown of it before the
    segment that is shown now.
    """

    node: PlanNode
    segments: Template
    before: frozenset[int]
    at: int = 0
    text: str = ""
    shown: _Shown = field(default_factory=_Shown)
    settled: dict[Selector, _Source] | None = None

    @property
    def is_printed(self) -> bool:
        return self.at == len(self.segments)

    def next_segment(self, text: str) -> None:
        self.at += 1
        self.text += text
        self.shown = _Shown()


class DifyComposer(Composer):
    """Responses print one after another in the order of ``RunState.said``, each as its template
    says, as soon as it is certain.

    The chunks of a value are those of its node; the texts between are the response's own. What a
    container's answers say prints when it ends, unless its children show it by themselves.
    """

    def __init__(self, compiled: Compiled, id_base: str) -> None:
        super().__init__(compiled, id_base)
        self._queue: list[_Session] = []
        self._queued: set[int] = set()
        self._said: Sequence[Said] | None = None
        """As it was when the queue was last looked at."""

    def _before_end(self, node: PlanNode) -> list[Content]:
        assert self._state is not None  # noqa: S101 - compose has set it
        if self._state.said is None and node.is_output:
            self._append(node.index)  # nobody knew of an order when this run began
        self._take_places()
        for session in self._queue:
            if session.node is node:
                self._settle(session)
        found = self._flush()
        for selector in [s for s in self._live if s[0] == node.id]:
            del self._live[selector]
        return found

    def _take_places(self) -> None:
        """Queue the responses that have become certain."""
        assert self._state is not None  # noqa: S101 - nothing is shown before the first event
        said = self._state.said or ()
        if said is not self._said:
            self._said = said
            for one in said:
                self._append(one.node)

    def _append(self, index: int) -> None:
        if index not in self._queued:
            self._queued.add(index)
            template = template_of(self.nodes[index])
            before = self._ended_before(index) if template else frozenset[int]()
            self._queue.append(_Session(self.plan.nodes[index], template, before))

    def _ended_before(self, index: int) -> frozenset[int]:
        """The nodes without whose end, if they run, it cannot start."""
        found: set[int] = set()
        todo = [index]
        while todo:
            node = self.plan.nodes[todo.pop()]
            waits = node.join is None or node.join.waits_for_all
            for edge in node.in_edges if waits else ():
                source = self.plan.sources[edge]
                if source not in found:
                    found.add(source)
                    todo.append(source)
        return frozenset(found)

    def _settle(self, session: _Session) -> dict[Selector, _Source]:
        """The response has been given: its values are those of now, and what has none prints
        nothing."""
        if session.settled is None:
            session.settled = {}
            for segment in session.segments[session.at :]:
                if not isinstance(segment, str):
                    source = self._source(segment)
                    settled = source if source.closed else _Source((), closed=True)
                    session.settled[segment] = settled
        return session.settled

    def _flush(self) -> list[Content]:
        self._take_places()
        found: list[Content] = []
        while self._queue:
            session = self._queue[0]
            phase = self._phase(session.node.id)
            if phase not in NEVER:
                found += self._given(session) if phase == NodePhase.TAKEN else self._print(session)
                is_open = not (session.segments and session.is_printed)
                if is_open and phase != NodePhase.TAKEN:
                    break
            self._queue.pop(0)
        return found

    def _given(self, session: _Session) -> list[Content]:
        """The rest of a response that has been given: what it has really said."""
        assert self._state is not None  # noqa: S101 - it has ended
        said = self._said or ()
        if any(one.by_itself and one.node == session.node.index for one in said):
            return []
        settled = self._settle(session)
        text = text_of(said, self._state.outputs, session.node.index)
        rest = (
            part if isinstance(part, str) else "".join(settled[part].pieces)
            for part in session.segments[session.at :]
        )
        if text is None or text == session.text + "".join(rest):
            return self._print(session)
        # a mocked answer, a container's, or somebody wrote a value meanwhile
        selector = (session.node.id, _LITERAL)
        shown = session.text + "".join(session.shown.pieces)
        found: list[Content] = []
        if not text.startswith(shown):
            found.append(events.node_run_stream_replaced(session.node, selector))
            shown = ""
        if text != shown:
            found.append(self._chunk(session.node, selector, text[len(shown) :], is_final=True))
        return found

    def _print(self, session: _Session) -> list[Content]:
        found: list[Content] = []
        while not session.is_printed:
            segment = session.segments[session.at]
            if isinstance(segment, str):
                selector = (session.node.id, _LITERAL)
                found.append(self._chunk(session.node, selector, segment, is_final=True))
                session.next_segment(segment)
                continue
            source = (session.settled or {}).get(segment) or self._source_for(session, segment)
            found += self._show(session, segment, source)
            if not source.closed:
                break
            session.next_segment("".join(source.pieces))
        return found

    def _source_for(self, session: _Session, selector: Selector) -> _Source:
        """The value as far as the response is sure to say it: another node may end too late."""
        source = self._source(selector)
        index = self.plan.index_of.get(selector[0])
        if index is None or index in session.before:
            return source
        runs = self._phase(session.node.id) == NodePhase.RUNNING
        return source if source.closed and not runs else _Source((), closed=False)

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
        if session is None or session.is_printed or not session.shown.pieces:
            return []
        segment = session.segments[session.at]
        if isinstance(segment, str) or segment[0] != node_id:
            return []
        session.shown = _Shown()
        return [events.node_run_stream_replaced(self.plan.node(node_id), segment)]
