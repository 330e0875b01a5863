"""``question-classifier``: a chat model sorts a text into one of some categories.

spec/graph.md 1.6, spec/runtime.md 3.4, spec/dify.md E2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Final

from xworkflow.domain.chat import ChatRequest, ChatResponse
from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.placeholders import references
from xworkflow.domain.plan import Placement
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.selectors import Selector
from xworkflow.errors import NodeError
from xworkflow.nodes.base import Node, Values, WorkNode
from xworkflow.nodes.classifier_answer import category_named
from xworkflow.nodes.classifier_data import Category, QuestionClassifierData
from xworkflow.nodes.classifier_prompt import classifier_prompt
from xworkflow.nodes.model_credentials import credentials_for
from xworkflow.nodes.registry import node_type
from xworkflow.ports import Ports

DEFAULT: Final = "default"

_TEMPERATURE: Final = 0.0
_MAX_TOKENS: Final = 256

ClassifierNode = Node[QuestionClassifierData]


@node_type
class QuestionClassifier(WorkNode[QuestionClassifierData]):
    """Outputs ``category_id`` and ``class_name``, and takes the handle of the category's id; what
    is none of them takes ``default``. Temperature is 0 and ``max_tokens`` 256 where not drawn.

    In Dify's dialect the outputs are ``class_id``, ``class_name``, ``class_label`` and ``usage``,
    the model's parameters are those that are drawn, and what is no class takes the first one:
    there is no way for anything else. A reply that names nothing fails the node in both.
    """

    type: ClassVar[str] = "question-classifier"
    data_model = QuestionClassifierData
    placement = Placement.ACTIVITY

    def selectors(self, node: ClassifierNode) -> Iterator[tuple[str, Selector]]:
        data = node.data
        yield "query_variable_selector", data.query_variable_selector
        for name, part in (("memory", data.memory), ("vision", data.vision)):
            if part is not None and part.enabled and part.variable_selector is not None:
                yield f"{name}.variable_selector", part.variable_selector

    def texts(self, node: ClassifierNode) -> Iterator[tuple[str, str]]:
        """In Dify's dialect only: the native rules leave prompts alone (spec/graph.md 2.2)."""
        if node.dialect == "dify":
            yield "instruction", node.data.instruction

    def hidden_reads(self, node: ClassifierNode) -> Iterator[Selector]:
        yield from references(node.data.instruction, node.dialect)

    def handles(self, node: ClassifierNode) -> tuple[str, ...]:
        ids = tuple(category.category_id for category in node.data.categories)
        return ids if node.dialect == "dify" else (*ids, DEFAULT)

    def check(self, node: ClassifierNode) -> Iterator[Diagnostic]:
        categories, native = node.data.categories, node.dialect == "native"
        path = "categories[{}].category_{}" if native else "classes[{}].{}"
        if not categories:
            field = "categories" if native else "classes"
            yield finding("E218", "there is no category", node=node.id, field=field)
        seen: set[str] = set()
        for index, category in enumerate(categories):
            where = path.format(index, "id")
            if not category.category_id.strip():
                yield finding("E219", "a category has no id", node=node.id, field=where)
            elif category.category_id in seen:
                text = f"two categories have the id '{category.category_id}'"
                yield finding("E222", text, node=node.id, field=where)
            seen.add(category.category_id)
            if native:
                yield from _check_native(category, node.id, index)

    async def execute(self, node: ClassifierNode, values: Values, ports: Ports) -> NodeRunResult:
        wrong = next(iter(self.check(node)), None)
        if wrong is not None:  # a body, which is not validated
            raise NodeError.of_kind("config_error", wrong.message)
        model = node.data.model
        provider = ports.llm.get(model.provider)
        messages = await classifier_prompt(node, values, ports)
        params, native = model.completion_params, node.dialect == "native"
        request = ChatRequest(
            model=model.name,
            messages=messages,
            temperature=_TEMPERATURE
            if native and params.temperature is None
            else params.temperature,
            top_p=params.top_p,
            max_tokens=_MAX_TOKENS if native and params.max_tokens is None else params.max_tokens,
            parameters=params.others,
            credentials=await credentials_for(model, provider.id(), node.id, ports),
            idempotency_key=ports.idempotency_key,
        )
        response = await provider.chat_completion(request, ports.http)
        outputs, handle = _sorted(node, response)
        return NodeRunResult(
            outputs=outputs,
            metadata={"model": response.model, "provider": model.provider},
            llm_usage=response.usage,
            edge_source_handle=handle,
        )


def _check_native(category: Category, node_id: str, index: int) -> Iterator[Diagnostic]:
    if not category.category_name.strip():
        field = f"categories[{index}].category_name"
        yield finding("E220", "a category has no name", node=node_id, field=field)
    if category.category_id == DEFAULT:
        text = f"'{DEFAULT}' is the way of what is in no category, and no id of one"
        yield finding("E221", text, node=node_id, field=f"categories[{index}].category_id")


def _sorted(node: ClassifierNode, response: ChatResponse) -> tuple[dict[str, Any], str]:
    """Outputs and handle. Raises NodeError for a reply that names no category."""
    named = category_named(response.content, node.dialect)
    categories = node.data.categories
    found = next((c for c in categories if c.category_id == named), None)
    if node.dialect == "native":
        taken = found.category_id if found else DEFAULT
        name = found.category_name if found else DEFAULT
        return {"category_id": taken, "class_name": name}, taken
    category = found or categories[0]
    outputs = {
        "class_id": category.category_id,
        "class_name": category.category_name,
        "class_label": category.label or category.category_name,
        "usage": response.usage.model_dump(),
    }
    return outputs, category.category_id
