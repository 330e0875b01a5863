"""The question classifier: what it asks a model, and what it makes of the reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.nodes.conftest import FakeProvider, FakeProviders, node, pool, ports
from xworkflow.domain.chat import ChatRequest, ChatResponse, ImagePart, Message, TextPart
from xworkflow.domain.loading import load
from xworkflow.domain.results import LlmUsage, NodeRunResult
from xworkflow.domain.selectors import Dialect
from xworkflow.domain.values import to_file
from xworkflow.errors import NodeError, NodeFailure
from xworkflow.nodes.base import CrossedValues
from xworkflow.nodes.classifier_answer import category_named
from xworkflow.nodes.question_classifier import QuestionClassifier

MODEL = {"provider": "openai", "name": "gpt-4o-mini"}
CATEGORIES = [
    {"category_id": "a", "category_name": 'Billing "now"', "label": "B"},
    {"category_id": "1", "category_name": "Other"},
]
PNG = to_file({"type": "image", "url": "http://files/a.png"})
VALUES = pool(
    start={"q": "where is my bill?", "none": None, "tone": "strict"},
    chat={"turns": [{"role": "user", "text": "hi"}, {"role": "assistant", "text": "ho"}]},
    sys={"files": [PNG]},
)
USAGE = LlmUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3)


def drawn(dialect: Dialect = "native", **data: Any) -> Any:
    wanted = {"model": MODEL, "query_variable_selector": "start.q", "categories": CATEGORIES}
    return node("question-classifier", dialect, **(wanted | data))


async def executed(
    reply: str, dialect: Dialect = "native", lent: dict[str, Any] | None = None, **data: Any
) -> tuple[NodeRunResult, ChatRequest]:
    """Run with nothing but what the node says that it reads."""
    classifier, made = QuestionClassifier(), drawn(dialect, **data)
    selectors = [selector for _, selector in classifier.selectors(made)]
    selectors += classifier.hidden_reads(made)
    values = CrossedValues({selector: VALUES.get(selector) for selector in selectors})
    provider = FakeProvider(ChatResponse(reply, USAGE, "m-1"))
    given: dict[str, Any] = {"llm": FakeProviders(provider), **(lent or {})}
    result = await classifier.execute(made, values, ports(**given))
    return result, provider.asked[0]


async def failure(reply: str, dialect: Dialect = "native", **more: Any) -> NodeFailure:
    with pytest.raises(NodeError) as caught:
        await executed(reply, dialect, **more)
    return caught.value.failure


# --- what it asks


async def test_the_model_is_told_the_categories_the_instructions_and_the_query() -> None:
    _, request = await executed("a", instruction="Be {{#start.tone#}}")
    system, query = request.messages
    assert (system.role, query) == ("system", Message("user", "where is my bill?"))
    assert '- category_id: "a", category_name: "Billing \\"now\\""\n' in str(system.content)
    assert "### Instructions\nBe strict\n" in str(system.content)


async def test_without_instructions_there_is_no_section_for_them() -> None:
    _, request = await executed("a", instruction="{{#start.none#}} ")
    assert "### Instructions" not in str(request.messages[0].content)


async def test_strict_templates_refuse_a_missing_value() -> None:
    failed = await failure("a", lent={"strict_template": True}, instruction="{{#start.none#}}")
    assert failed.code == "variable_not_found"


@pytest.mark.parametrize(
    ("dialect", "roles"),
    [
        ("native", ["user", "assistant", "system", "user"]),
        ("dify", ["system", "user", "assistant", "user"]),
    ],
)
async def test_the_memory_is_told_before_the_query(dialect: Dialect, roles: list[str]) -> None:
    memory = {"enabled": True, "variable_selector": ["chat", "turns"]}
    _, request = await executed("a", dialect, memory=memory)
    assert [message.role for message in request.messages] == roles


@pytest.mark.parametrize(
    ("dialect", "params", "expected"),
    [
        ("native", {}, (0.0, 256)),
        ("native", {"temperature": 0.7, "max_tokens": 9}, (0.7, 9)),
        ("dify", {}, (None, None)),
    ],
)
async def test_replies_are_short_and_cold_natively_where_nothing_else_is_drawn(
    dialect: Dialect, params: dict[str, Any], expected: tuple[float | None, int | None]
) -> None:
    _, request = await executed("a", dialect, model=MODEL | {"completion_params": params})
    assert (request.temperature, request.max_tokens) == expected


async def test_images_are_shown_with_the_query() -> None:
    vision = {"enabled": True, "variable_selector": ["sys", "files"], "detail": "low"}
    _, request = await executed("a", "dify", vision=vision)
    image = ImagePart("http://files/a.png", "low")
    assert request.messages[-1].content == (image, TextPart("where is my bill?"))


@dataclass
class Keys:
    async def get_credentials(self, group_id: str, provider_name: str) -> dict[str, str]:
        return {"api_key": f"{group_id}/{provider_name}"}


async def test_the_groups_credentials_win_over_the_nodes() -> None:
    model = MODEL | {"credentials": {"api_key": "own", "base_url": "http://m"}}
    lent = {"credential_provider": Keys(), "group_id": "g"}
    _, request = await executed("a", lent=lent, model=model)
    assert request.credentials == {"api_key": "g/fake", "base_url": "http://m"}


# --- what it makes of the reply


@pytest.mark.parametrize(
    "reply",
    [
        "a",
        ' "a" ',
        "'a'",
        "`a`",
        '{"category_id": "a", "category_name": "IgnoreMe"}',
        '```json\n{"category_id": "a"}\n```',
        '```{"category_id": "a"}```',
        'Sure:\n```\n{"category_id": "a"}\n```\nDone.',
    ],
)
@pytest.mark.parametrize("dialect", ["native", "dify"])
def test_a_reply_names_its_category(reply: str, dialect: Dialect) -> None:
    assert category_named(reply, dialect) == "a"


@pytest.mark.parametrize(
    "reply",
    ["", "  ", "I think this is a", '{"category_id": ""}', '{"id":"a"}', '["a"]', "``````", "{"],
)
@pytest.mark.parametrize("dialect", ["native", "dify"])
async def test_any_other_reply_fails_the_node(reply: str, dialect: Dialect) -> None:
    failed = await failure(reply, dialect)
    expected = f"Execution error: Failed to parse question-classifier response: {reply}"
    assert (failed.code, failed.text) == ("execution_error", expected)


def test_only_dify_takes_a_number_and_what_was_thought_aloud() -> None:
    for reply in ('{"category_id": 1}', '<think>\nhm, 2?\n</think>\n{"category_id":"1"}'):
        assert category_named(reply, "dify") == "1"
        with pytest.raises(NodeError):
            category_named(reply, "native")


@given(st.text(), st.sampled_from(["native", "dify"]))
def test_a_reply_that_fails_the_node_is_quoted_whole(reply: str, dialect: Dialect) -> None:
    try:
        named = category_named(reply, dialect)
    except NodeError as error:
        named = str(error).removeprefix(
            "Execution error: Failed to parse question-classifier response: "
        )
    assert named in reply
    assert named or not reply


@pytest.mark.parametrize(
    ("reply", "category", "name"),
    [("a", "a", 'Billing "now"'), ("1", "1", "Other"), ("z", "default", "default")],
)
async def test_a_known_category_takes_its_way_and_another_the_default(
    reply: str, category: str, name: str
) -> None:
    result, _ = await executed(reply)
    assert result.outputs == {"category_id": category, "class_name": name}
    assert result.edge_source_handle == category
    assert result.llm_usage == USAGE
    assert result.metadata == {"model": "m-1", "provider": "openai"}


@pytest.mark.parametrize(
    ("reply", "category", "name", "label"),
    [("1", "1", "Other", "Other"), ("z", "a", 'Billing "now"', "B")],
)
async def test_in_dify_what_is_no_class_takes_the_first_one(
    reply: str, category: str, name: str, label: str
) -> None:
    result, _ = await executed(reply, "dify")
    assert result.outputs == {
        "class_id": category,
        "class_name": name,
        "class_label": label,
        "usage": USAGE.model_dump(),
    }
    assert result.edge_source_handle == category


@pytest.mark.parametrize("categories", [[], [CATEGORIES[0], CATEGORIES[0]]])
@pytest.mark.parametrize("dialect", ["native", "dify"])
async def test_bodies_that_validation_would_refuse_are_config_errors(
    categories: list[Any], dialect: Dialect
) -> None:
    assert (await failure("a", dialect, categories=categories)).code == "config_error"


# --- Dify's form

EXPORT = """
app: {mode: workflow, name: A}
kind: app
version: 0.1.0
workflow:
  graph:
    nodes:
      - id: n
        data:
          type: question-classifier
          title: Q
          classes: [{id: 1, name: One}, {id: x, name: Two, label: L}]
          instruction: ''
          instructions: older
          query_variable_selector: [s, q]
          model: {provider: p, name: m, mode: chat, completion_params: {temperature: 0.1}}
          memory: {window: {enabled: true, size: 3}}
          vision: {enabled: false}
    edges: []
"""


def test_difys_form_is_loaded_into_the_native_one() -> None:
    (spec,) = load(EXPORT, "yaml").nodes
    data = QuestionClassifier.data_model.model_validate(spec.data)
    made = node("question-classifier", "dify", **spec.data)
    assert QuestionClassifier().handles(made) == ("1", "x")
    assert data.model_dump(include={"instruction", "memory", "vision"}) == {
        "instruction": "older",
        "memory": {
            "enabled": True,
            "window_size": 3,
            "variable_selector": None,
            "query_prompt_template": "",
        },
        "vision": {"enabled": False, "variable_selector": ("sys", "files"), "detail": None},
    }
