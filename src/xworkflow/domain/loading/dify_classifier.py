"""Dify's question classifier in the native spelling (spec/dify.md E2)."""

from __future__ import annotations

from typing import Any, Final, cast

from xworkflow.domain.loading.dify_llm import llm
from xworkflow.domain.loading.shapes import Object
from xworkflow.domain.values import JsonValue

_NAMES: Final = {"id": "category_id", "name": "category_name"}


def question_classifier(data: Object) -> Object:
    """Its model, memory and vision are drawn as those of an llm."""
    data = llm(data)
    if "classes" in data:
        data["categories"] = _categories(data.pop("classes"))
    # what the instruction was called in the first exports, which later ones keep beside it
    older = data.pop("instructions", None)
    if not data.get("instruction") and older:
        data["instruction"] = older
    return data


def _categories(classes: JsonValue) -> JsonValue:
    if not isinstance(classes, list):
        return classes
    return [
        _category(cast("Object", drawn)) if isinstance(drawn, dict) else drawn
        for drawn in cast("list[Any]", classes)
    ]


def _category(drawn: Object) -> Object:
    """Ids are texts, whatever the file says: an edge's handle is one."""
    category = {_NAMES.get(key, key): value for key, value in drawn.items()}
    if type(category.get("category_id")) is int:
        category["category_id"] = str(category["category_id"])
    return category
