"""Laws of templates: the screen never raises, what passes is cheap, the reader is minijinja's."""

from __future__ import annotations

from hypothesis import assume, example, given
from hypothesis import strategies as st
from minijinja import Environment, TemplateError

from xworkflow.domain.jinja import render, syntax_error
from xworkflow.domain.screen import is_bounded
from xworkflow.domain.template_tokens import Tag, UnreadableTemplate, scan
from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeError

_WORDS = (
    "{{ }} {% %} {# #} - + ( ) [ ] { } | . , : ~ = == * / x y 'a' \" \\ 1 2.5 0x1 é raw endraw "
    "if else endif for endfor in is not none true upper join string loop set"
)
_WHOLE = (" ", "\n", "{{ x }}", "{% if x %}", "{% endif %}", "{% for i in y %}", "{% endfor %}")
soup = st.lists(
    st.sampled_from((*_WORDS.split(" "), *_WHOLE)),
    max_size=16,
).map("".join)

paths = st.sampled_from(["s", "o.k", "l", "l[0]", "o['k']", "u", "n", "2.5", "'lit'", "none"])
filters = st.sampled_from(
    ["", "|upper", "|trim|lower", "|join", "|join('--')", "|default('d')", "|length", "|tojson",
     "|e", "|string", "|first", "|replace('a', 'bbbb')", "|join('x')|join('x')", "|items"]
)  # fmt: skip
expressions = st.builds("{}{}".format, paths, filters) | st.builds("{} ~ {}".format, paths, paths)
outputs = st.builds("{{{{ {} }}}}".format, expressions)


def _in_blocks(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    body = st.lists(inner, max_size=3).map("".join)
    return (
        st.builds("{{% if {} %}}{}{{% else %}}{}{{% endif %}}".format, expressions, body, body)
        | st.builds("{{% for i in {} %}}{}{{% endfor %}}".format, paths | st.just("i"), body)
        | st.builds("{{% set s = {} %}}{}".format, expressions, body)
    )


templates = st.recursive(
    outputs | st.sampled_from(["text ", "{{ i }}", "{{ loop.index }}"]), _in_blocks, max_leaves=8
)

VALUES: dict[str, JsonValue] = {
    "s": "a<é\"'&" * 50,
    "o": {"k": ["a" * 40] * 20},
    "l": [[1.5, "b" * 30, None, True]] * 30,
    "n": 1e300,
}
SIZE = 4_000
"""Characters of VALUES as JSON, rounded up."""


@given(st.text() | soup)
@example("{{" * 5_000)
@example("{% for i in x %}" * 600)
@example("\ud800{{ x }}")
def test_the_screen_never_raises(template: str) -> None:
    assert is_bounded(template) in (True, False)


@given(templates)
def test_what_passes_the_screen_prints_a_bounded_output(template: str) -> None:
    if not is_bounded(template) or syntax_error(template):
        return
    for dialect in ("native", "dify"):
        try:
            text = render(template, VALUES, dialect)
        except NodeError as error:
            assert "too large" not in str(error)  # noqa: PT017
            assert "fuel" not in str(error)  # noqa: PT017
        else:
            # the screen's own bound: each tag prints a constant multiple of the values
            assert (
                len(text) <= (17 * SIZE + 400) * (template.count("{{") + 1) + len(template) * SIZE
            )


@given(soup)
def test_our_reader_sees_the_tags_that_minijinja_sees(template: str) -> None:
    """Written again with other spaces between its tokens, a template renders the same."""
    if syntax_error(template):
        return
    try:
        parts = scan(template)
    except UnreadableTemplate:
        assert not is_bounded(template)
        return
    pieces: list[str] = []
    at = 0
    for tag in (part for part in parts if isinstance(part, Tag)):
        pieces += (template[at : tag.start], " ", "  ".join(t.text for t in tag.tokens), " ")
        at = tag.end
    assert _outcome("".join((*pieces, template[at:]))) == _outcome(template)


def _outcome(template: str) -> str:
    try:
        return Environment(fuel=10_000).render_str(template, x="X", y=[1, True])
    except TemplateError as error:
        return f"error {error.kind}"


@given(templates)
def test_both_dialects_agree_where_values_are_texts(template: str) -> None:
    assume("none" not in template)  # no text, and each dialect spells it in its own way
    texts = {"s": "abc", "o": {"k": "d"}, "u": "e", "n": "f", "l": "gh", "i": "j"}
    outcomes: list[str] = []
    for dialect in ("native", "dify"):
        try:
            text = render(template, texts, dialect)
        except NodeError:
            return
        outcomes.append(text.replace('"', "'"))
    assert outcomes[0] == outcomes[1]
