"""How an llm node is drawn (spec/runtime.md 3.2); Dify's form is loaded into this one."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from xworkflow.domain.selectors import parse_selector
from xworkflow.domain.values import JsonValue, display
from xworkflow.nodes.base import NodeData
from xworkflow.nodes.bindings import Binding


def _optional_selector(raw: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    return parse_selector(raw) if raw else None


def _or_empty(raw: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    return {} if raw is None else raw


Text = Annotated[str, BeforeValidator(display)]
OptionalSelector = Annotated[tuple[str, ...] | None, BeforeValidator(_optional_selector)]
"""A selector; absent, null and empty are none."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class CompletionParams(_Part):
    """The three that every provider knows, and whatever else is drawn, under its own name."""

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = Field(
        default=None,
        validation_alias=AliasChoices(
            "max_tokens",
            "max_output_tokens",
            "max_tokens_to_sample",
            "max_new_tokens",
            "num_predict",
        ),
    )

    @property
    def others(self) -> dict[str, JsonValue]:
        """The rest, as OpenAI's wire format has it: Dify writes a response format as a word."""
        drawn = {k: v for k, v in (self.model_extra or {}).items() if v is not None}
        schema = drawn.pop("json_schema", None)
        if isinstance(kind := drawn.get("response_format"), str):
            drawn["response_format"] = {"type": kind}
            if kind == "json_schema":
                drawn["response_format"]["json_schema"] = _parsed(schema)
        return drawn


def _parsed(schema: JsonValue) -> JsonValue:
    try:
        return json.loads(schema) if isinstance(schema, str) else schema
    except (ValueError, RecursionError):
        return schema  # the provider says what is wrong with it


class ModelChoice(_Part):
    """``credentials`` (api_key, base_url, org_id) win over those of the provider."""

    provider: str
    name: str
    completion_params: Annotated[CompletionParams, BeforeValidator(_or_empty)] = CompletionParams()
    credentials: Annotated[dict[str, Text], BeforeValidator(_or_empty)] = Field(
        default_factory=dict, repr=False
    )


class PromptMessage(_Part):
    """``jinja2_text`` is the text where ``edition_type`` is ``jinja2`` (Dify)."""

    role: Text
    text: Text = ""
    edition_type: str | None = None
    jinja2_text: str | None = None

    @property
    def template(self) -> str | None:
        """The Jinja2 template; None for a text with ``{{#…#}}`` references."""
        return (self.jinja2_text or "") if self.edition_type == "jinja2" else None


class Context(_Part):
    enabled: bool = False
    variable_selector: OptionalSelector = None


class Vision(_Part):
    enabled: bool = False
    variable_selector: OptionalSelector = None
    detail: str | None = None


class Memory(_Part):
    """``window_size`` counts messages; absent and 0 are all. Dify asks a last question."""

    enabled: bool = False
    window_size: int | None = None
    variable_selector: OptionalSelector = None
    query_prompt_template: Text = ""


class PromptConfig(_Part):
    """What the Jinja2 texts of the prompt may name."""

    jinja2_variables: tuple[Binding, ...] = ()


class LlmData(NodeData):
    """``output_schema``, a JSON schema, and ``reasoning_format`` are Dify's."""

    model: ModelChoice
    prompt_template: tuple[PromptMessage, ...] = ()
    context: Context | None = None
    vision: Vision | None = None
    memory: Memory | None = None
    prompt_config: PromptConfig | None = None
    stream: bool = False
    output_schema: dict[str, JsonValue] | None = None
    reasoning_format: str | None = None
