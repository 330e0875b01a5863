"""Commands and queries that runs and their sub-graphs have in common (spec/graph.md 5.7).

Signals only ask; an update says what became of it, and is refused with the reasons before it lands
in the history wherever that can be known.
"""

from __future__ import annotations

from typing import Any, cast

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from xworkflow.domain.facts import (
    AbortRequested,
    Fact,
    InputRefused,
    PauseLifted,
    PauseRequested,
    SafeStopRequested,
    VariablesUpdated,
)
from xworkflow.domain.forms import HumanAnswer
from xworkflow.domain.selectors import Selector, SelectorError, parse_selector
from xworkflow.domain.streams import visible
from xworkflow.domain.values import JsonValue
from xworkflow.domain.wire import (
    ABORT_SIGNAL,
    ANSWER_UPDATE,
    EVENTS_QUERY,
    OUTPUTS_QUERY,
    PAUSE_SIGNAL,
    RESUME_SIGNAL,
    SAFE_STOP_SIGNAL,
    STATE_QUERY,
    VARIABLES_QUERY,
    VARIABLES_UPDATE,
    WAITING_QUERY,
    AnswerReceipt,
    EventsPage,
    RunInput,
    RunSnapshot,
    Waiting,
)
from xworkflow.engine.carrier import LaneEffect
from xworkflow.engine.compile import CompileError
from xworkflow.errors import EngineError, InputError
from xworkflow.workflows.shell import Shell
from xworkflow.workflows.snapshot import events_page, snapshot


class Commanded:
    """Holds the shell of a workflow, and passes on what clients say to it."""

    def __init__(self, given: RawValue) -> None:
        self._shell: Shell | None = None
        self._refusal: EngineError | None = None
        try:
            self._shell = Shell(_run_input(given))
        except (InputError, CompileError) as error:
            self._refusal = error

    def _carried(self) -> Shell:
        if self._shell is None:
            refusal = self._refusal or InputError(("the run has no input",))
            raise ApplicationError(str(refusal), type=refusal.code, non_retryable=True)
        return self._shell

    # ---- signals

    @workflow.signal(name=PAUSE_SIGNAL)
    def pause(self) -> None:
        """Start no new node, here and in sub-graphs, until ``resume``."""
        self._tell_all(PAUSE_SIGNAL, PauseRequested(self._carried().now()))

    @workflow.signal(name=RESUME_SIGNAL)
    def resume(self) -> None:
        """Go on after a pause."""
        self._tell_all(RESUME_SIGNAL, PauseLifted(self._carried().now()))

    @workflow.signal(name=SAFE_STOP_SIGNAL)
    def safe_stop(self) -> None:
        """Let running nodes end, then end the run; a fork can go on from there."""
        self._tell_all(SAFE_STOP_SIGNAL, SafeStopRequested(self._carried().now()))

    @workflow.signal(name=ABORT_SIGNAL)
    def abort(self, reason: str | None = None) -> None:
        """Drop what runs, and fail the run with the reason; its error handler still runs."""
        shell = self._carried()
        shell.signalled(lambda: shell.carrier.tell(AbortRequested(shell.now(), reason)))

    def _tell_all(self, signal: str, fact: Fact) -> None:
        shell = self._carried()

        def take() -> list[LaneEffect]:
            shell.tell_children(signal)
            return shell.carrier.tell(fact)

        shell.signalled(take)

    # ---- updates

    @workflow.update(name=ANSWER_UPDATE)
    async def answer(self, answer: HumanAnswer) -> AnswerReceipt:
        """Answer a question. The first answer that fits wins; others are refused with reasons."""
        shell = self._carried()
        refused: tuple[str, ...] = ("nobody waits for this answer any more",)
        token = answer.token

        def take() -> list[LaneEffect]:
            nonlocal refused, token
            found = shell.carrier.find_asked(answer)
            if found is None:
                return []
            lane, node = found
            driver = shell.carrier.lanes[lane]
            token = driver.state.asked[str(node)].token
            fact = driver.answer(node, answer, shell.now())
            refused = fact.problems if isinstance(fact, InputRefused) else ()
            return shell.carrier.feed(lane, fact)

        await shell.updated(take)
        if refused:
            raise ApplicationError("; ".join(refused), list(refused), type="AnswerRefused")
        return AnswerReceipt(node_id=answer.node_id, token=token)

    @answer.validator
    def _refuse_answer(self, answer: HumanAnswer) -> None:
        shell = self._carried()
        if not shell.is_settled:
            return  # the handler looks, once it is
        found = shell.carrier.find_asked(answer)
        if found is None:
            raise ApplicationError(
                "nobody waits for this answer: it was given, the time is over, or it belongs to "
                "another workflow (see the query 'waiting')",
                type="AnswerRefused",
            )
        lane, node = found
        fact = shell.carrier.lanes[lane].answer(node, answer, shell.now())
        if isinstance(fact, InputRefused):
            raise ApplicationError(
                "; ".join(fact.problems), list(fact.problems), type="AnswerRefused"
            )

    @workflow.update(name=VARIABLES_UPDATE)
    async def update_variables(self, values: dict[str, Any]) -> list[str]:
        """Write variables, keyed ``node.variable``; nodes that start later see them."""
        shell = self._carried()
        writes = _writes(values)
        await shell.updated(lambda: shell.carrier.tell(VariablesUpdated(writes, shell.now())))
        return list(values)

    @update_variables.validator
    def _refuse_variables(self, values: dict[str, Any]) -> None:
        self._carried()
        _writes(values)

    # ---- queries

    @workflow.query(name=STATE_QUERY)
    def state(self) -> RunSnapshot:
        """Where the run stands: its status, counters, and each node's state."""
        return snapshot(self._carried())

    @workflow.query(name=OUTPUTS_QUERY)
    def outputs(self) -> dict[str, JsonValue]:
        """The outputs collected so far."""
        driver = self._carried().driver
        return {} if driver is None else driver.state.outputs

    @workflow.query(name=VARIABLES_QUERY)
    def variables(self, node_id: str | None = None) -> dict[str, Any]:
        """The variables of one node or namespace; without a name, of all. Of a sub-graph they are
        keyed by item."""
        lanes = self._carried().carrier.lanes
        found = {
            str(lane): visible(driver.state.pool.namespace(node_id))
            if node_id is not None
            else {name: visible(space) for name, space in driver.state.pool.to_json().items()}
            for lane, driver in lanes.items()
        }
        return found if self._carried().driver is None else found["0"]

    @workflow.query(name=EVENTS_QUERY)
    def events(self, after: int = -1, limit: int = 200) -> EventsPage:
        """The events after the number ``after``, page by page. Of this workflow alone (a sub-graph
        tells its own) and without the pieces of streams; of a run that continued as new, ask each
        history. ``WorkflowHandle.events`` has all in one order."""
        return events_page(self._carried(), after, limit)

    @workflow.query(name=WAITING_QUERY)
    def waiting(self) -> list[Waiting]:
        """The questions that wait for a person, those of sub-graphs included."""
        return list(self._carried().waiting())


def _writes(values: dict[str, Any]) -> tuple[tuple[Selector, JsonValue], ...]:
    try:
        return tuple((parse_selector(k.replace(":", ".", 1)), v) for k, v in values.items())
    except SelectorError as error:
        raise ApplicationError(f"a variable is named node.variable: {error}") from None


def _run_input(given: RawValue) -> RunInput:
    """Raises InputError for what some other client sent instead."""
    try:
        # a payload that is null or plain bytes comes back as it is
        run = cast("object", workflow.payload_converter().from_payload(given.payload, RunInput))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError((f"the input is no RunInput: {where}: {first['msg']}",)) from None
    if not isinstance(run, RunInput):
        raise InputError(("the input is no RunInput",))
    return run
