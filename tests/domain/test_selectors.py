"""Selectors (spec/graph.md 1.7)."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from xworkflow.domain.selectors import (
    SelectorError,
    SelectorField,
    check_depth,
    parse_selector,
    show,
)


@pytest.mark.parametrize(
    ("raw", "selector"),
    [
        (["n", "x"], ("n", "x")),
        ("n.x", ("n", "x")),
        (["start", "sys.query"], ("start", "sys.query")),
        ("start.sys.query", ("start", "sys", "query")),
        ("item", ("__scope__", "item")),
        (["item"], ("__scope__", "item")),
        (["", "n", "", "x"], ("n", "x")),
        (".n..x.", ("n", "x")),
        (["n", "x", 0], ("n", "x", "0")),
        (("n", "x"), ("n", "x")),
    ],
)
def test_a_selector_is_a_list_of_texts_or_a_dotted_text(raw: Any, selector: tuple[str]) -> None:
    assert parse_selector(raw) == selector


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([], "empty selector"),
        ("", "empty selector"),
        ("...", "empty selector"),
        (["", ""], "empty selector"),
        ([None], "a selector is a list of texts"),
        (["n", ["x"]], "a selector is a list of texts"),
        (5, "a selector is a list of texts or a dotted text, not 5"),
        (None, "a selector is a list of texts or a dotted text, not None"),
        (b"n.x", "a selector is a list of texts or a dotted text, not b'n.x'"),
        ({"n": "x"}, "a selector is a list of texts or a dotted text, not {'n': 'x'}"),
    ],
)
def test_anything_else_is_refused_with_what_is_wrong(raw: Any, message: str) -> None:
    with pytest.raises(SelectorError) as caught:
        parse_selector(raw)
    assert str(caught.value) == message


def test_native_selectors_end_after_two_parts_and_difys_go_on() -> None:
    assert check_depth(("n", "x"), "native") == ("n", "x")
    assert check_depth(("n", "x", "y"), "dify") == ("n", "x", "y")
    with pytest.raises(SelectorError, match="has more than two parts"):
        check_depth(("n", "x", "y"), "native")


def test_a_field_of_a_model_reads_both_forms_and_reports_the_others() -> None:
    class Data(BaseModel):
        selector: SelectorField

    assert Data.model_validate({"selector": "n.x"}).selector == ("n", "x")
    assert Data.model_validate({"selector": ["n", "x"]}).selector == ("n", "x")
    with pytest.raises(ValidationError, match="empty selector"):
        Data.model_validate({"selector": []})


def test_people_see_the_dotted_form_without_the_scope() -> None:
    assert show(("n", "x", "0")) == "n.x.0"
    assert show(("__scope__", "item")) == "item"
