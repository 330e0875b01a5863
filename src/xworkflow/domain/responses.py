"""The order of responses: how Dify's answers follow one another, as shown and as stored.

A response (an answer, an end, or a container with answers inside) takes its place once it is
*certain*: a way leads to it on which nothing is left to be decided, and nothing that may run before
it can still change what it says. Of several that become certain by the same end the first drawn
comes first. A container takes its place when it starts. ``RunState.said`` holds the order; the
run's output ``answer`` joins what was given so far in it, and a reader shows nothing in any other
(``engine/composing.py``), so that what is stored is what was shown.

A state of an older version has no order (``said`` None): its answers follow one another as they
end. Replay-safe: outputs travel in commands, and change neither their number nor their order.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from xworkflow.domain.state import EdgePhase, NodePhase, Said
from xworkflow.domain.values import JsonValue, display

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xworkflow.domain.plan import PlanNode, Response
    from xworkflow.domain.repeats import Repeat
    from xworkflow.domain.turn import Turn

ANSWER: Final = "answer"
"""The output in which the texts of all answers are."""

NEVER: Final = frozenset({NodePhase.SKIPPED, NodePhase.CANCELLED, NodePhase.FAILED})
OVER: Final = frozenset({NodePhase.TAKEN, *NEVER})


def ended(turn: Turn, node: PlanNode) -> None:
    """A node that may decide about responses has ended: those that are certain take their places.

    Its edges are resolved.
    """
    if turn.said is None or len(turn.said) == turn.plan.places:
        return
    placed = {said.node for said in turn.said}
    found: list[Said] = []
    if node.is_output and node.index not in placed:
        found.append(Said(node.index))
        placed.add(node.index)
    known = {turn.plan.root: True}
    found += [
        Said(response.node)
        for response in turn.plan.responses
        if response.node not in placed and _is_certain(turn, response, known)
    ]
    if found:
        turn.said = (*turn.said, *found)


def container_starts(turn: Turn, node: PlanNode) -> None:
    """A container with answers inside takes its place; any other node is none of these."""
    if not node.speaks or turn.said is None:
        return
    if all(said.node != node.index for said in turn.said):
        turn.said = (*turn.said, Said(node.index))


def container_opens(turn: Turn, node: PlanNode, repeat: Repeat) -> bool:
    """Whether what a container's answers say is shown only when the container ends.

    They are shown as they come where nothing else is being shown meanwhile, one item speaks after
    the other, and none of it can turn out not to count.
    """
    if not node.speaks or turn.said is None:
        return False
    one_by_one = repeat.folds or repeat.parallelism == 1 or len(repeat.items or ()) == 1
    counts = repeat.on_failure == "terminate" or repeat.folds
    counts = counts and node.retry is None and node.error_strategy.type == "none"
    counts = counts and not node.may_be_left
    if not (one_by_one and counts):
        return True
    place = [said.node for said in turn.said].index(node.index)
    if not all(_is_shown(turn, said.node) for said in turn.said[:place]):
        return True
    spoken = replace(turn.said[place], by_itself=True)
    turn.said = (*turn.said[:place], spoken, *turn.said[place + 1 :])
    return False


def _is_shown(turn: Turn, index: int) -> bool:
    """Whether nothing of a certain response is still to come. One that runs ends at once."""
    phase = turn.nodes[index]
    return phase in OVER or (phase == NodePhase.RUNNING and not turn.plan.nodes[index].speaks)


def said_by(turn: Turn, node: PlanNode, added: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The run's outputs with those of one more response, whose text stands in its place."""
    merged = {**turn.outputs, **added}
    before = turn.outputs.get(ANSWER)
    whole, text = display(before), display(added.get(ANSWER))
    at = len(whole)
    if turn.said is not None:
        at = _take_place(turn, node.index, len(text), whole)
    if before is not None:
        merged[ANSWER] = whole[:at] + text + whole[at:]
    return merged


def _take_place(turn: Turn, index: int, length: int, whole: str) -> int:
    """Note how long a text is; returns where it stands in the whole one."""
    said = turn.said or ()
    place = next((at for at, one in enumerate(said) if one.node == index), len(said))
    kept = said[place] if place < len(said) else Said(index)
    turn.said = (*said[:place], replace(kept, length=length), *said[place + 1 :])
    at = _length(said[:place])
    return at if at + _length(said[place:]) == len(whole) else len(whole)


def text_of(said: Sequence[Said], outputs: Mapping[str, JsonValue], index: int) -> str | None:
    """What a response has said; None where it has not, or where nobody can tell any more (an
    output of an end node may be called ``answer``, too)."""
    place = next((at for at, one in enumerate(said) if one.node == index), None)
    length = None if place is None else said[place].length
    if place is None or length is None:
        return None
    whole = display(outputs.get(ANSWER))
    at = _length(said[:place])
    return whole[at : at + length] if _length(said) == len(whole) else None


def _length(said: Sequence[Said]) -> int:
    return sum([one.length for one in said if one.length])


def _is_certain(turn: Turn, response: Response, known: dict[int, bool]) -> bool:
    phase = turn.nodes[response.node]
    # what runs has read its values already: its end tells them
    if response.late or phase not in (NodePhase.PENDING, NodePhase.QUEUED):
        return False
    if any(turn.nodes[index] not in OVER for index in reversed(response.writers)):
        return False
    return _is_reached(turn, response.node, known)


def _is_reached(turn: Turn, index: int, known: dict[int, bool]) -> bool:
    """Whether a way leads to a node on which nothing is left to be decided.

    ``known`` are nodes that were looked at, so that no edge is looked at twice.
    """
    plan, edges = turn.plan, turn.edges
    if index in known:
        return known[index]
    known[index] = False
    way = [(index, iter(plan.nodes[index].in_edges))]
    while way:
        for edge in way[-1][1]:
            source = plan.sources[edge]
            if edges[edge] == EdgePhase.TAKEN or (_is_open(turn, edge) and known.get(source)):
                known.update((node, True) for node, _ in way)
                return True
            if source not in known and _is_open(turn, edge):
                known[source] = False
                way.append((source, iter(plan.nodes[source].in_edges)))
                break
        else:
            way.pop()
    return False


def _is_open(turn: Turn, edge: int) -> bool:
    """Whether an edge will be taken, if its source runs, whatever is decided."""
    source = turn.plan.sources[edge]
    is_sure = not turn.plan.nodes[source].is_gate and turn.nodes[source] not in NEVER
    return is_sure and turn.edges[edge] == EdgePhase.PENDING
