"""The reader of templates."""

from __future__ import annotations

import pytest

from xworkflow.domain.template_tokens import (
    Tag,
    Text,
    UnreadableTemplate,
    scan,
)


def shown(template: str) -> list[object]:
    """Texts as text, tags as (kind, tokens)."""
    return [
        template[part.start : part.end]
        if isinstance(part, Text)
        else (part.kind, [token.text for token in part.tokens])
        for part in scan(template)
    ]


@pytest.mark.parametrize(
    ("template", "parts"),
    [
        ("", []),
        ("plain { text } 100%", ["plain { text } 100%"]),
        ("a{{ x.y }}b", ["a", ("output", ["x", ".", "y"]), "b"]),
        ("{%- if a!=b -%}", [("statement", ["if", "a", "!=", "b"])]),
        ("{{- x -}}", [("output", ["x"])]),
        ("{# {{ x }} #}a", ["a"]),
        ("{{ {'a': {}}}}", [("output", ["{", "'a'", ":", "{", "}", "}"])]),
        ("{{ '}}' }}", [("output", ["'}}'"])]),
        (r"{{ 'a\'b' }}", [("output", [r"'a\'b'"])]),
        ("{{ 1.5e-3+0x1f }}", [("output", ["1.5e-3", "+", "0x1f"])]),
        ("{{ x.0.k }}", [("output", ["x", ".", "0", ".", "k"])]),
        ("{% raw %}{{ x }}{% endraw %}", ["{{ x }}"]),
        ("{%- raw -%}{% if %}{%- endraw -%}z", ["{% if %}", "z"]),
        ("{% rawer %}", [("statement", ["rawer"])]),
        ("{{ 变量 }}", [("output", ["变量"])]),
    ],
)
def test_a_template_falls_into_texts_and_tags(template: str, parts: list[object]) -> None:
    assert shown(template) == parts


@pytest.mark.parametrize(
    "template",
    ["{{ x", "{% if", "{# c", "{{ 'a }}", "{% raw %}x", "{{ x ? y }}", "{{ ( }}", "{{ 'a\\"],
)
def test_what_does_not_end_is_unreadable(template: str) -> None:
    with pytest.raises(UnreadableTemplate):
        scan(template)


def test_tokens_know_where_they_stand() -> None:
    template = "ab{{ name | upper }}"
    (tag,) = (part for part in scan(template) if isinstance(part, Tag))
    assert [template[token.start : token.end] for token in tag.tokens] == ["name", "|", "upper"]
    assert template[tag.start : tag.end] == " name | upper "
