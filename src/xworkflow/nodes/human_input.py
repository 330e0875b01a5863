"""``human-input``: asks a person, and waits for the answer (spec/graph.md 9.4, spec/dify.md E2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.forms import (
    TIMEOUT_HANDLE,
    Form,
    FormRefusedError,
    HumanAnswer,
    unanswered,
)
from xworkflow.domain.placeholders import references
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.selectors import Selector
from xworkflow.domain.values import JsonValue, normalise
from xworkflow.errors import NodeError
from xworkflow.nodes.base import Values, WaitNode
from xworkflow.nodes.bindings import binding_selectors
from xworkflow.nodes.dify_form import pieces
from xworkflow.nodes.human_input_data import HumanInputData, HumanInputNode
from xworkflow.nodes.human_input_dify import (
    asked_by,
    check_dify,
    clicked,
    dify_answer,
    dify_form,
)
from xworkflow.nodes.human_input_native import (
    APPROVE,
    DECISIONS,
    REJECT,
    check_native,
    native_answer,
    native_form,
)
from xworkflow.nodes.registry import node_type


@node_type
class HumanInput(WaitNode[HumanInputData]):
    """Outputs each field of its form, what else was submitted, and ``__decision``.

    In approval mode it takes the handle ``approve`` or ``reject``. An answer that does not fit is
    refused, and the run goes on waiting. In Dify's dialect the outputs are each input,
    ``__action_id``, ``__action_value`` (the button's title) and ``__rendered_content``; it takes
    the handle of the button's id, or ``__timeout``, and fails after its time where no edge has
    that.
    """

    type: ClassVar[str] = "human-input"
    data_model = HumanInputData
    unreadable = "E033"
    all_or_nothing = True

    def selectors(self, node: HumanInputNode) -> Iterator[tuple[str, Selector]]:
        if node.dialect == "dify":
            for index, drawn in enumerate(node.data.inputs):
                if (selector := asked_by(drawn)) is not None:
                    yield f"inputs[{index}].default.selector", selector
            return
        for index, field in enumerate(node.data.form_fields):
            if field.default_value_selector is not None:
                yield f"form_fields[{index}].default_value_selector", field.default_value_selector
        yield from binding_selectors(node.data.prompt_variables, "prompt_variables")

    def texts(self, node: HumanInputNode) -> Iterator[tuple[str, str]]:
        """In Dify's dialect only: the native rules leave prompts alone (spec/graph.md 2.2)."""
        if node.dialect == "dify":
            yield "form_content", "".join(pieces(node.data.form_content)[::2])

    def hidden_reads(self, node: HumanInputNode) -> Iterator[Selector]:
        if node.dialect == "native":
            yield from references(node.data.prompt_text or "", node.dialect)

    def handles(self, node: HumanInputNode) -> tuple[str, ...] | None:
        if node.dialect == "dify":
            return (*(action.id for action in node.data.user_actions), TIMEOUT_HANDLE)
        return (APPROVE, REJECT) if node.data.resume_mode == "approval" else None

    def check(self, node: HumanInputNode) -> Iterator[Diagnostic]:
        yield from check_dify(node) if node.dialect == "dify" else check_native(node)

    def check_edges(self, node: HumanInputNode, drawn: frozenset[str]) -> Iterator[Diagnostic]:
        approval = node.dialect == "native" and node.data.resume_mode == "approval"
        if approval and not drawn >= DECISIONS:
            text = "an approval needs an edge for 'approve' and one for 'reject'"
            yield finding("E019", text, node=node.id, field="edges")

    def ask(self, node: HumanInputNode, values: Values, *, strict: bool = False) -> Form:
        wrong = next(iter(self.check(node)), None)
        if wrong is not None:  # a body, which is not validated
            raise NodeError.of_kind("config_error", wrong.message)
        try:
            return (dify_form if node.dialect == "dify" else native_form)(node, values, strict)
        except NodeError as error:
            raise NodeError.of_kind("template_error", str(error)) from None

    def answer(self, node: HumanInputNode, form: Form, answer: HumanAnswer) -> NodeRunResult:
        given = _as_json(answer.form_data)
        if node.dialect == "dify":
            return dify_answer(node, form, answer.action, given)
        return native_answer(node, form, answer.decision, given)

    def timed_out(self, node: HumanInputNode, form: Form) -> NodeRunResult:
        match form.timeout_action:
            case "fail":
                raise unanswered()
            case "default_value":
                return NodeRunResult(outputs=node.data.timeout_default_values or {})
            case "auto_approve" | "auto_reject":
                decision = form.timeout_action.removeprefix("auto_")
                return NodeRunResult(outputs={"__decision": decision}, edge_source_handle=decision)
            case "branch":
                # a default that nobody confirmed is no answer
                return clicked(form, {}, TIMEOUT_HANDLE, "")


def _as_json(form_data: Mapping[str, Any]) -> dict[str, JsonValue]:
    """What was submitted, as values of the pool: front ends can send NaN, and nests without end."""
    try:
        return {name: normalise(value) for name, value in form_data.items()}
    except (TypeError, RecursionError):
        raise FormRefusedError(("the submitted values are not JSON",)) from None
