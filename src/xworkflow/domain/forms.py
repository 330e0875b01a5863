"""What a person is asked, and what the person answers (spec/graph.md 9.4). Plain frozen data."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeError, NodeFailure

TimeoutAction = Literal["fail", "default_value", "auto_approve", "auto_reject", "branch"]
"""What happens when nobody answers in time; ``branch`` is Dify's: the handle ``__timeout``."""

TIMEOUT_HANDLE: Final = "__timeout"
"""The way that ``branch`` takes. Where no edge has this handle the node fails: ``unanswered``."""

UNANSWERED: Final = "Timeout: node execution exceeded time limit"


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True)


class Form(_Data):
    """A question to a person, ready to be shown: texts are rendered, defaults are resolved.

    ``form_schema`` is what a front end needs to draw it: natively the fields as they are drawn,
    each with its resolved ``default_value``; in Dify's dialect ``form_content``, ``inputs``,
    ``user_actions``, ``resolved_default_values`` and ``display_in_ui``. ``timeout_secs`` None waits
    for ever. ``content`` is Dify's text cut at the places of its inputs: text, name, text, ….
    """

    resume_mode: str = "form"
    form_schema: JsonValue = None
    prompt_text: str | None = None
    timeout_secs: float | None = None
    timeout_action: TimeoutAction = "fail"
    defaults: dict[str, JsonValue] = Field(default_factory=dict)
    content: tuple[str, ...] = ()


class HumanAnswer(_Data):
    """What a person submits. ``decision`` for approvals, ``action`` for Dify's forms."""

    node_id: str = ""
    token: str = ""
    decision: str | None = None
    action: str | None = None
    form_data: dict[str, Any] = Field(default_factory=dict)
    user: str = ""


class FormRefusedError(Exception):
    """An answer that does not fit its form: the run keeps waiting. One sentence for each fault."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def unanswered() -> NodeError:
    """The failure of a form that nobody answered in time, where nothing else is drawn for that."""
    return NodeError(NodeFailure.timeout(UNANSWERED))
