"""The screen of templates (design.md 6)."""

from __future__ import annotations

import time

import pytest

from xworkflow.domain.jinja import render
from xworkflow.domain.screen import MAX_TEMPLATE_BYTES, is_bounded
from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeError


@pytest.mark.parametrize(
    "template",
    [
        "",
        "plain text",
        "Hello {{ name }}!",
        "{{ a.b[0]['k'].c }} {{ a[b] }} {{ a[-1] }}",
        "{% if count > 0 %}You have {{ count }}{% elif x is not none %}b{% else %}No{% endif %}",
        "{% for item in my_list %}<doc id='{{ loop.index }}'>{{ item.text }}</doc>{% endfor %}",
        "{% for k, v in o|items %}{{ k }}: {{ v }}{% else %}nothing{% endfor %}",
        "{% for a in x -%}{% for b in a.items -%}{{ b }}{% endfor %}{% endfor %}",
        "{{ step_answer | join('\\n') }}",
        "{{ x|upper|trim|default('none given', true)|length }}",
        "{{ x|default(y) }} {{ x|round(2) }} {{ x|float }} {{ x | tojson }}",
        "{{ 'yes' if (a and not b) or c in d else 'no' }}",
        "{# {{ x * 10**9 }} #}{{- x -}}",
        "{{ x == -1.5 }}{{ x is defined }}",
    ],
)
def test_an_ordinary_template_passes(template: str) -> None:
    assert is_bounded(template)


BOMBS = [
    "{% set s = 'xx' %}" + "{% set s = [s, s] %}" * 24 + "{{ s|string }}",
    "{% set s = 'x' %}" + "{% set s = s|string ~ s|string %}" * 30 + "{{ s }}",
    "{% set ns = namespace(s='x') %}{% for i in x %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "{{ x|chain(x)|chain(x)|list }}",
    "{% for i in range(10**8) %}{{ i }}{% endfor %}",
    "{{ 'a' * 10**9 }}",
    "{% set l = [0] %}{% for i in x %}{% set _ = l.extend(l) %}{% endfor %}",
    "{{ '%999999999d' % x }}",
]


@pytest.mark.parametrize("template", BOMBS)
def test_a_known_bomb_is_screened_out(template: str) -> None:
    assert not is_bounded(template)


@pytest.mark.parametrize(
    "template",
    [
        "{{ x + y }}",
        "{{ x ~ y }}",
        "{{ x - 1 }}",
        "{{ -x }}",
        "{{ [x, x] }}",
        "{{ (x, x) }}",
        "{{ {'k': x} }}",
        "{{ f(x) }}",
        "{{ x.items() }}",
        "{{ x['items']() }}",
        "{{ (x)() }}",
        "{{ x|replace('a', 'aaaa') }}",
        "{{ x|batch(2) }}",
        "{{ x|map('upper') }}",
        "{{ x|join('01234567890123456') }}",
        "{{ x|join(y) }}",
        "{{ x|join('ab')|join('ab') }}",
        "{{ x|tojson|tojson }}",
        "{{ x|default(y|join)|join }}",
        "{{ x|upper(y|join) }}",
        "{{ x|round(10**9) }}",
        "{{ x is sameas(y) }}",
        "{{ x[1:] }}",
        "{{ range }}",
        "{{ self }}",
        "{{ loop.index }}",
        "{{ 99999999999999999999 }}",
        "{{ 1e300 }}",
        "{{ }}",
        "{{ x",
        "{% set x = 1 %}",
        "{% macro m() %}{% endmacro %}",
        "{% include 'x' %}",
        "{% block b %}{% endblock %}",
        "{% raw %}{{ x }}{% endraw %}",
        "{% filter upper %}{% endfilter %}",
        "{% do x %}",
        "{% if x %}",
        "{% endif %}",
        "{% for i in x %}{% endif %}",
        "{% for i in x recursive %}{% endfor %}",
        "{% for i in x if i %}{% endfor %}",
        "{% for loop in x %}{% endfor %}",
        "{% for in x %}{% endfor %}",
        "{% for i in x %}{{ outer }}{% endfor %}",
        "{% for i in x %}{% for j in x %}{% endfor %}{% endfor %}",
        "{% for i in x %}{% for j in i %}{{ i }}{% endfor %}{% endfor %}",
        "{% for i in x %}{{ loop }}{{ loop.previtem }}{% endfor %}",
        "{% for i in x %}{{ loop(i) }}{% endfor %}",
        "{{ x" + "|upper" * 101 + " }}",
        "{% if x %}{% endif %}" * 501,
        "é" * (MAX_TEMPLATE_BYTES // 2 + 1),
    ],
)
def test_what_is_not_known_to_be_cheap_is_refused(template: str) -> None:
    assert not is_bounded(template)


def test_a_template_of_the_largest_size_passes() -> None:
    assert is_bounded("é" * (MAX_TEMPLATE_BYTES // 2))


TEXT = "Aß\"'<&" * 30_000

WORST: list[tuple[str, JsonValue]] = [
    ("{{ x" + "|upper|lower" * 49 + "|length }}", TEXT),
    ("{{ x }}" * 1_000, TEXT),
    ("{{ x|tojson }}" * 100, TEXT),
    ("{{ x|join('0123456789abcdef') }}" * 100, TEXT),
    ("{% for c in x %}" + "y" * 2_000 + "{% endfor %}", TEXT),
    ("{% for c in x %}{{ c }}{{ c }}{{ c }}{% endfor %}", TEXT),
    ("{% for a in x %}{% for b in a %}{{ b }}{% endfor %}{% endfor %}", [[0] * 100] * 700),
    ("{{ x }}" * 100, [1e308] * 30_000),
    ("{% if 'zz' in x %}{% endif %}" * 100, TEXT),
    ("{% if x == x %}{% endif %}" * 100, [[0] * 100] * 700),
]


@pytest.mark.parametrize(("template", "value"), WORST)
@pytest.mark.parametrize("dialect", ["native", "dify"])
def test_the_worst_that_passes_ends_long_before_a_workflow_task_does(
    template: str, value: JsonValue, dialect: str
) -> None:
    assert is_bounded(template)
    started = time.perf_counter()
    try:
        render(
            template,
            {"x": value},
            "dify" if dialect == "dify" else "native",
            max_output_bytes=400_000,
        )
    except NodeError as error:
        assert error.code == "template_error"  # noqa: PT017 - a limit may stop it
    assert time.perf_counter() - started < 2
