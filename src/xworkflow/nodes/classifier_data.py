"""How a question classifier is drawn (spec/graph.md 1.6); Dify's form is loaded into this one."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from xworkflow.domain.selectors import SelectorField
from xworkflow.nodes.base import NodeData
from xworkflow.nodes.llm_data import Memory, ModelChoice, Text, Vision


class Category(BaseModel):
    """A class; its id is the handle that it takes. ``label`` is Dify's."""

    model_config = ConfigDict(frozen=True, extra="allow")

    category_id: str
    category_name: Text
    label: Text = ""


class QuestionClassifierData(NodeData):
    """``vision`` is Dify's."""

    model: ModelChoice
    query_variable_selector: SelectorField
    categories: tuple[Category, ...] = ()
    instruction: Text = ""
    memory: Memory | None = None
    vision: Vision | None = None
