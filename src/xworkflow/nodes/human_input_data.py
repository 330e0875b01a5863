"""How a human-input node is drawn: natively (spec/graph.md 9.4), and in Dify (spec/dify.md E2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.values import JsonValue
from xworkflow.nodes.base import Node, NodeData
from xworkflow.nodes.bindings import Binding
from xworkflow.nodes.dify_form import DeliveryMethod, FormInput, UserAction
from xworkflow.nodes.form_fields import FormField


class Notification(BaseModel):
    """Kept, and sent by whoever hears the event ``human_input_requested``."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: Literal["webhook", "event", "none"]
    target: str | None = None
    params: dict[str, JsonValue] = Field(default_factory=dict)


class HumanInputData(NodeData):
    """The native form down to ``notification``; what follows is Dify's. Without a timeout it waits
    for ever."""

    resume_mode: Literal["form", "approval", "webhook"] = "form"
    form_fields: tuple[FormField, ...] = ()
    prompt_text: str | None = Field(
        default=None, validation_alias=AliasChoices("prompt_text", "prompt")
    )
    prompt_variables: tuple[Binding, ...] = ()
    timeout_secs: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    timeout_action: Literal["fail", "default_value", "auto_approve", "auto_reject"] = "fail"
    timeout_default_values: dict[str, JsonValue] | None = None
    notification: Notification | None = None
    form_content: str = ""
    inputs: tuple[FormInput, ...] = ()
    user_actions: tuple[UserAction, ...] = ()
    timeout: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    timeout_unit: Literal["hour", "day"] = "hour"
    delivery_methods: tuple[DeliveryMethod, ...] = ()


HumanInputNode = Node[HumanInputData]


def check_names(node_id: str, names: list[str], path: str) -> Iterator[Diagnostic]:
    """Blank and double names of fields (E014, E015); ``path`` has a place for the index."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        where = path.format(index)
        if not name.strip():
            yield finding("E014", "a field has no variable", node=node_id, field=where)
        elif name in seen:
            yield finding("E015", f"two fields fill '{name}'", node=node_id, field=where)
        seen.add(name)
