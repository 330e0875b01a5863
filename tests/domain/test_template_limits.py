"""Templates under the limits of a security level."""

from __future__ import annotations

import pytest

from xworkflow.domain.jinja import render
from xworkflow.domain.security_limits import TemplateSafetyConfig
from xworkflow.domain.selectors import Dialect
from xworkflow.errors import NodeError

STANDARD = TemplateSafetyConfig()
STRICT = TemplateSafetyConfig.strict()
TEN = TemplateSafetyConfig(max_loop_iterations=10, max_recursion_depth=3)


def refused(template: str, limits: TemplateSafetyConfig, **variables: object) -> str:
    with pytest.raises(NodeError) as caught:
        render(template, variables, "native", safety=limits)
    assert caught.value.failure.code == "template_error"
    assert not caught.value.failure.retryable
    return str(caught.value)


@pytest.mark.parametrize("dialect", ["native", "dify"])
@pytest.mark.parametrize(
    "template",
    [
        "{% for x in items %}{{ x }},{% endfor %}",
        "{%- for x in items -%}  {{ x }}  {%- endfor -%} ",
        "a {% for x in items -%}\n  {{ loop.index }}{{ x }}\n{%- endfor %} b\n",
        "{% for x in items +%} {{ x }}{% else %}none{% endfor %}",
        "{% for x in none_here %}{{ x }}{% else %} none {% endfor %}",
        "{% macro m(a) -%} [{{ a }}] {%- endmacro %} {{ m(1) }} {{ m(m(2)) }}",
        "{% macro m(a) %}\n[{{ a }}]\n{% endmacro %}{% for x in items %}{{ m(x) }}{% endfor %}",
        "{% block one %} x {% endblock %}{% block two -%} y {%- endblock %}",
        "{% for x in items %}{% for y in items %}{{ x }}{{ y }} {% endfor %}\n{% endfor %}",
        "{% raw %}{% for x in y %}{% endraw %}{# {% for x in y %} #}{{ '{% for %}' }}",
        "{% for k, v in pairs|items %}{{ k }}={{ v }};{% endfor %}",
        "{% set ns = namespace(n=0) %}{% for x in items %}{% set ns.n = x %}{% endfor %}{{ ns.n }}",
    ],
)
def test_a_template_within_its_limits_prints_what_it_prints_without(
    template: str, dialect: Dialect
) -> None:
    variables = {"items": [1, 2, 3], "pairs": {"a": 1}}
    plain = render(template, variables, dialect)
    assert render(template, variables, dialect, safety=STANDARD) == plain


@pytest.mark.parametrize(
    ("template", "rule"),
    [
        ("{% for x in range(11) %}{% endfor %}", "max_loop_iterations"),
        (
            "{% for x in range(4) %}{% for y in range(4) %}{% endfor %}{% endfor %}",
            "max_loop_iterations",
        ),
        ("{% for x in range(6) %}{% endfor %}{% for x in range(6) %}{% endfor %}", "max_loop"),
        ("{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}", "max_recursion_depth"),
        (
            "{% macro m(n) %}{% if n %}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(3) }}",
            "max_recursion_depth",
        ),
        (
            "{% for x in [[[]]] recursive %}{{ loop([x, x, x]) }}{% endfor %}",
            "max_loop_iterations",
        ),
    ],
)
def test_loops_and_recursion_are_counted(template: str, rule: str) -> None:
    assert f"(rule {rule}" in refused(template, TEN)


def test_a_macro_may_be_called_often_when_it_is_not_called_within_itself() -> None:
    template = "{% macro m() %}x{% endmacro %}" + "{{ m() }}" * 9
    assert render(template, {}, "native", safety=TEN) == "x" * 9


@pytest.mark.parametrize(
    "template",
    [
        "{{ range(3) }}",
        "{% set r = range %}{% for x in r(3) %}{% endfor %}",
        "{% for x in range(1) %}{% endfor %}",
        "{{ [range][0](2) }}",
    ],
)
def test_a_disabled_function_has_no_other_name(template: str) -> None:
    assert "'range' is disabled (rule disabled_functions)" in refused(template, STRICT)


@pytest.mark.parametrize(
    "template",
    [
        "{{ x|upper }}",
        "{{ x | upper() }}",
        "{% filter upper %}x{% endfilter %}",
        "{{ ['a']|map('upper')|list }}",
        '{{ ["a"]|map("upper")|list }}',
        "{% for y in x|upper %}{% endfor %}",
    ],
)
def test_a_disabled_filter_is_refused_wherever_it_stands(template: str) -> None:
    limits = TemplateSafetyConfig(disabled_filters=("upper",))
    assert "'upper' is disabled (rule disabled_filters)" in refused(template, limits, x="a")


def test_names_that_only_look_like_disabled_ones_are_free() -> None:
    template = "{{ x.range }}{{ dict(range=1)['range'] }}{{ 'range' }}"
    assert render(template, {"x": {"range": 5}}, "native", safety=STRICT) == "51range"


def test_lengths_are_limited_in_bytes() -> None:
    assert "Template too large (max 5000, got 5001)" in refused("x" * 5001, STRICT)
    assert "Template too large" in refused("é" * 2501, STRICT)
    assert "Template output too large (max 50000" in refused("{{ x }}", STRICT, x="y" * 50_001)


@pytest.mark.parametrize(
    "template",
    [
        "{% set xworkflow_loop = 1 %}",
        "{% macro xworkflow_loop() %}{% endmacro %}",
        "{% for xworkflow_loop in [1] %}{% endfor %}",
        "{% macro m() %}{{ xworkflow_leave() }}{% endmacro %}",
    ],
)
def test_a_template_cannot_undo_its_counting(template: str) -> None:
    assert "is taken" in refused(template, TEN)


def test_a_variable_cannot_undo_the_counting() -> None:
    template = "{% for x in range(100) %}{% endfor %}"
    with pytest.raises(NodeError):
        render(template, {"xworkflow_loop": "mine"}, "native", safety=TEN)
