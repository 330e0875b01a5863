"""Dify's llm and list-operator nodes in the native spelling."""

from __future__ import annotations

from typing import Any

import pytest

from xworkflow.domain.loading.dify_list_operator import list_operator
from xworkflow.domain.loading.dify_llm import llm
from xworkflow.nodes.list_operator import ListOperatorData
from xworkflow.nodes.llm_data import LlmData

MODEL = {"provider": "langgenius/openai/openai", "name": "gpt-4o", "mode": "chat"}


def read(**data: Any) -> LlmData:
    return LlmData.model_validate(llm({"model": MODEL, **data}))


def test_the_completion_form_is_what_the_user_says() -> None:
    prompt = {"text": "t", "edition_type": "jinja2", "jinja2_text": "{{ j }}"}
    (message,) = read(prompt_template=prompt).prompt_template
    assert (message.role, message.text, message.template) == ("user", "t", "{{ j }}")


@pytest.mark.parametrize(
    ("window", "size"),
    [
        ({"enabled": True, "size": 5}, 5),
        ({"enabled": True, "size": ""}, None),
        ({"enabled": False, "size": 5}, None),
        (None, None),
    ],
)
def test_memory_is_on_whatever_its_window(window: Any, size: int | None) -> None:
    drawn = {"window": window, "query_prompt_template": "q", "role_prefix": {"user": ""}}
    memory = read(memory=drawn).memory
    assert memory is not None
    assert (memory.enabled, memory.window_size, memory.query_prompt_template) == (True, size, "q")


@pytest.mark.parametrize("memory", [None, {}])
def test_a_node_without_memory_has_none(memory: Any) -> None:
    assert read(memory=memory).memory is None
    assert read().memory is None


@pytest.mark.parametrize(
    ("drawn", "enabled", "selector", "detail"),
    [
        ({"enabled": False}, False, ("sys", "files"), None),
        ({"enabled": True, "configs": {"detail": "high"}}, True, ("sys", "files"), "high"),
        (
            {"enabled": True, "configs": {"detail": "low", "variable_selector": ["n", "f"]}},
            True, ("n", "f"), "low",
        ),
        (
            {"enabled": True, "configs": {"variable_selector": []}},
            True, ("sys", "files"), None,
        ),
    ],
)  # fmt: skip
def test_vision_looks_at_the_users_files_where_nothing_is_drawn(
    drawn: Any, enabled: bool, selector: Any, detail: Any
) -> None:
    vision = read(vision=drawn).vision
    assert vision is not None
    assert (vision.enabled, vision.variable_selector, vision.detail) == (enabled, selector, detail)


def test_an_empty_selector_of_the_context_is_none() -> None:
    context = read(context={"enabled": False, "variable_selector": []}).context
    assert context is not None
    assert context.variable_selector is None


def test_unfilled_lines_of_the_table_of_variables_are_left_out() -> None:
    lines: list[dict[str, Any]] = [
        {"variable": "", "value_selector": []},
        {"variable": "a", "value_selector": ["n", "v"]},
    ]
    config = read(prompt_config={"jinja2_variables": lines}).prompt_config
    assert config is not None
    assert [binding.variable for binding in config.jinja2_variables] == ["a"]
    assert read(prompt_config={"jinja2_variables": None}).prompt_config is not None


@pytest.mark.parametrize("switch", ["structured_output_switch_on", "structured_output_enabled"])
def test_a_schema_counts_where_its_switch_is_on(switch: str) -> None:
    schema = {"type": "object"}
    drawn = {"structured_output": {"schema": schema}}
    assert read(**drawn, **{switch: True}).output_schema == schema
    assert read(**drawn, **{switch: False}).output_schema is None
    assert read(**drawn).output_schema is None


def test_the_steps_of_a_list_operator_that_are_on_make_its_pipeline() -> None:
    drawn = {
        "variable": ["sys", "files"],
        "filter_by": {
            "enabled": True,
            "conditions": [{"key": "type", "comparison_operator": "in", "value": ["image"]}],
        },
        "order_by": {"enabled": False, "key": "", "value": "asc"},
        "limit": {"enabled": False, "size": 10},
        "extract_by": {"enabled": True, "serial": "1"},
        "item_var_type": "file",
    }
    data = ListOperatorData.model_validate(list_operator(drawn))
    assert data.input_selector == ("sys", "files")
    assert data.pipeline is not None
    assert (data.pipeline.order_by, data.pipeline.limit) == (None, None)
    assert data.pipeline.filter_by is not None
    assert data.pipeline.filter_by.conditions[0].key == "type"
    assert data.pipeline.extract_by is not None
    assert data.pipeline.extract_by.serial == "1"


def test_a_switched_off_step_may_hold_anything() -> None:
    drawn = {"variable": ["a", "b"], "order_by": {"enabled": False, "value": 5}, "limit": "none"}
    data = ListOperatorData.model_validate(list_operator(drawn))
    assert data.pipeline is not None
    assert data.pipeline.order_by is None
