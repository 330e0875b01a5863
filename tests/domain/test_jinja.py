"""Rendering of template-transform templates (spec/graph.md 3.7, spec/runtime.md 5.2)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import pytest

from xworkflow.domain.jinja import render, syntax_error
from xworkflow.domain.native_style import nativise
from xworkflow.domain.selectors import Dialect
from xworkflow.domain.template_tokens import UnreadableTemplate, scan
from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeError

BOTH: tuple[Dialect, ...] = ("native", "dify")


def native(template: str, **variables: JsonValue) -> str:
    return render(template, variables, "native")


def dify(template: str, **variables: JsonValue) -> str:
    return render(template, variables, "dify")


def failure(template: str, dialect: Dialect = "native", **variables: JsonValue) -> str:
    with pytest.raises(NodeError) as caught:
        render(template, variables, dialect)
    assert caught.value.code == "template_error"
    return str(caught.value)


MIXED: JsonValue = [1, "a", None, True, 2.0, {"k": [1e21, 'q"']}, "é\n"]
MIXED_NATIVE = r'[1, "a", none, true, 2.0, {"k": [1000000000000000000000.0, "q\""]}, "é\n"]'


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        ("a<b", "a<b"),
        (None, "none"),
        (True, "true"),
        (False, "false"),
        (5, "5"),
        (2.0, "2.0"),
        (0.5, "0.5"),
        (1e21, "1000000000000000000000.0"),
        (1e-7, "0.0000001"),
        ([], "[]"),
        ({}, "{}"),
        (MIXED, MIXED_NATIVE),
    ],
)
def test_the_native_dialect_prints_like_minijinja(value: JsonValue, printed: str) -> None:
    assert native("{{ x }}", x=value) == printed
    assert native("{{x}}", x=value) == printed
    assert native("{{ (x if true else 1) }}", x=value) == printed


@pytest.mark.parametrize(
    ("template", "printed"),
    [
        ("{{ none }}|{{ true }}|{{ 2.0 }}|{{ 1 }}", "none|true|2.0|1"),
        ("{{ [1, 'a', none, 2.0, true] }}", '[1, "a", none, 2.0, true]'),
        ("{{ {'k': 1} }}|{{ {'a': {}}}}", '{"k": 1}|{"a": {}}'),
        ("{{ 7/2 }} {{ 4/2 }} {{ 3|float }} {{ 2.5|round }}", "3.5 2.0 3.0 2.0"),
        ("{{ true|string }} {{ none|string }} {{ [true]|string }} {{ 2.0|string }}",
         "true none [true] 2.0"),
        ("{{ [true, none, 2.0, ['a']]|join(',') }}", 'true,none,2.0,["a"]'),
        ("{{ 'abc'|join('-') }}|{{ {'a': 1}|join }}|{{ u|join }}", "a-b-c|a|"),
        ("{{ true ~ none ~ 2.0 ~ 'x' ~ [1, true] }}", "truenone2.0x[1, true]"),
        ("{{true~true}}", "truetrue"),
        ("{{ none|join(',') }}|{{ 'x' ~ -1 }}", "|x-1"),
        ("{{ 1 + 2 ~ 'x' }}", None),
        ("{{ 5|join }}", None),
        ("{{ 6 / 2 ~ 'x' ~ 2 * 3 }}", "3.0x6"),
        ("{{ x.b[0] ~ (u or true) ~ u|default(false) ~ u }}", "truetruefalse"),
        ("{{ x.b|first ~ x['b']|length }}", "true1"),
        ("{% set y = [2.0] %}{{ y }}{% for i in [[2.0]] %}{{ i }}{% endfor %}", "[2.0][2.0]"),
        ("{% set y = true ~ '' %}{{ y }}", "true"),
        ("{% set y %}{{ true }}{% endset %}{{ y }}", "true"),
        ("{% macro m(a) %}[{{ a }}]{% endmacro %}{{ m(true) }}", "[true]"),
        ("{% block b %}{{ true }}{% endblock %}{{ self.b() }}", "truetrue"),
        ("{% for i in [[1, []]] recursive %}{{ i[0] }}{{ loop(i[1]) }}{% endfor %}", "1"),
        ("{% raw %}{{ true }}{% endraw %}{# {{ true }} #}", "{{ true }}"),
        ("a {{- true -}} b", "atrueb"),
    ],
)  # fmt: skip
def test_the_native_style_reaches_into_expressions(template: str, printed: str | None) -> None:
    if printed is None:
        assert "render error" in failure(template)
    else:
        assert native(template, x={"b": [True]}) == printed


def test_an_undeclared_name_prints_empty_and_iterates_as_empty() -> None:
    for render_it in (native, dify):
        assert render_it("<{{ u }}{% for i in u %}x{% endfor %}{{ 'a' if false }}>") == "<>"


@pytest.mark.parametrize("dialect", BOTH)
def test_an_attribute_of_an_undefined_value_is_an_error(dialect: Dialect) -> None:
    assert failure("a\n{{ u.x }}", dialect) == (
        "Template error: Template render error: undefined value: `u` is undefined (in template:2)"
    )


@pytest.mark.parametrize("dialect", BOTH)
def test_one_trailing_newline_is_trimmed_and_nothing_is_escaped(dialect: Dialect) -> None:
    assert render("{{ x }}\n\n", {"x": "<&>"}, dialect) == "<&>\n"


@pytest.mark.parametrize("template", ["{{ 'a'.upper() }}", "{{ x.append(1) }}", "{{ y.items() }}"])
def test_the_native_dialect_has_no_python_methods(template: str) -> None:
    assert "unknown method" in failure(template, x=[1], y={"k": 1})


@pytest.mark.parametrize("name", ["tojson", "urlencode"])
def test_the_native_dialect_lacks_the_filters_that_the_reference_lacks(name: str) -> None:
    assert f"filter {name} is unknown" in failure(f"{{{{ x|{name} }}}}", x="a")


def test_a_key_wins_over_a_method_of_its_name() -> None:
    assert native("{{ x.items }}|{{ y.items }}", x={"items": 3}, y={}) == "3|"


@pytest.mark.parametrize(
    ("template", "printed"),
    [
        ("{{ x }}", "[1, 'a', None, True, 2.0, {'k': [1e+21, 'q\"']}, 'é\\n']"),
        (
            "{{ none }} {{ true }} {{ 2.0 }} {{ [1, 'a'] }} {{ 1e-7 }}",
            "None True 2.0 [1, 'a'] 1e-07",
        ),
        ("{{ true ~ none }} {{ true|string }} {{ [none]|join }}", "TrueNone True None"),
        ("{{ 'ab'.upper() }} {{ 'a b'.split() }}", "AB ['a', 'b']"),
        ("{% for k, v in o.items() %}{{ k }}={{ v.z }}{% endfor %}", "b=1"),
        ("{{ o.get('b').z }} {{ o.get('c', 5) }} {{ o.keys() }} {{ x.index('a') }}", "1 5 ['b'] 1"),
        ("{{ o.values() }} {{ x.count('a') }}", "[{'z': 1}] 1"),
        ("{{ o|tojson }}", '{"b": {"z": 1}}'),
    ],
)
def test_the_dify_dialect_prints_like_python(template: str, printed: str) -> None:
    assert dify(template, x=MIXED, o={"b": {"z": 1}}) == printed


def test_the_dify_dialect_reads_every_line_break_as_jinja2_does() -> None:
    assert render("a\r\n{{ x }}\rb\r\n", {"x": "1\r\n2"}, "dify") == "a\n1\r\n2\nb"


def test_tojson_of_dify_sorts_keys_and_is_safe_in_html() -> None:
    assert dify("{{ x|tojson }}", x={"b": "中<", "a": 1}) == r'{"a": 1, "b": "\u4e2d\u003c"}'


@pytest.mark.parametrize("template", ["{{ ) ~ ( }}", "{{ x) ~ (y }}", "{{ ~ }}", "{{ x ~ }}"])
def test_rewriting_survives_what_minijinja_refuses(template: str) -> None:
    assert nativise(template, scan(template)).startswith("{{")
    assert "parse error" in failure(template)


def test_what_only_minijinja_can_read_prints_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(_: str) -> NoReturn:
        raise UnreadableTemplate

    monkeypatch.setattr("xworkflow.domain.jinja.scan", unreadable)
    assert native("{{ 'unseen' }} {{ true ~ 1 }}") == "unseen True1"


def test_views_behave_like_the_values_they_show() -> None:
    template = (
        "{{ x[0] }}{{ x[-1] }}{{ x|length }}{{ 2 in x }}{{ x == [1, 2] }}{{ x == y }}"
        "{{ 'k' in o }}{{ o is mapping }}{{ x is sequence }}{{ x[1:] }}{{ o|items|list }}"
        "{{ 'e' if e else 'empty' }}{% for i in x %}{{ loop.index }}{{ i }}{% endfor %}"
    )
    printed = native(template, x=[1, 2], y=[1, 2], o={"k": [1]}, e=[])
    assert printed == '122truetruetruetruetruetrue[2][["k", [1]]]empty1122'


@pytest.mark.parametrize(
    "template",
    ["{{ x.clear() }}", "{{ x.append(1) }}", "{{ x.__class__ }}{{ x._value }}", "{{ o.pop('k') }}",
     "{{ o.update({}) }}", "{{ x|attr('_value') }}", "{{ o.get('k').append(2) }}"],
)  # fmt: skip
@pytest.mark.parametrize("dialect", BOTH)
def test_a_template_changes_no_value_and_reaches_no_insides(
    template: str, dialect: Dialect
) -> None:
    values: dict[str, Any] = {"x": [1], "o": {"k": [1]}}
    try:
        assert render(template, values, dialect) in ("", "None", "[1]")
    except NodeError as error:
        assert "unknown method" in str(error)  # noqa: PT017 - either outcome is safe
    assert values == {"x": [1], "o": {"k": [1]}}


def test_printing_a_method_shows_no_address() -> None:
    assert " at 0x" not in dify("{{ o.items }}{{ o.get }}{{ x.index }}", o={}, x=[])


@pytest.mark.parametrize(
    "template", ["{% include 'x' %}", "{% extends 'x' %}", "{% import 'x' as y %}{{ y.z }}"]
)
def test_nothing_is_loaded(template: str) -> None:
    assert "template not found" in failure(template)


def test_a_syntax_error_names_its_line() -> None:
    message = "syntax error: unexpected end of block (in template:3)"
    assert failure("a\n\n{% if %}") == f"Template error: Template parse error: {message}"
    problem = syntax_error("a\n\n{% if %}")
    assert problem is not None
    assert (problem.message, problem.line) == (message, 3)


def test_half_a_surrogate_pair_is_an_error_and_no_crash() -> None:
    with pytest.raises(NodeError, match="half a surrogate pair"):
        render("\ud800", {}, "native", max_template_bytes=10)
    for render_it in (native, dify):
        assert render_it("{{ x }}", x="\ud800") == "\ufffd" * 3


def test_a_good_template_has_no_syntax_error() -> None:
    assert syntax_error("{{ x|nofilter }}{% for i in x %}{% endfor %}") is None


def test_a_template_may_be_too_large_in_bytes() -> None:
    with pytest.raises(NodeError, match=r"Template error: Template too large \(max 3, got 4\)"):
        render("éé", {}, "native", max_template_bytes=3)
    assert render("éé", {}, "native", max_template_bytes=4) == "éé"


def test_an_output_may_be_too_large_in_bytes() -> None:
    with pytest.raises(NodeError, match=r"Template output too large \(max 3, got 4\)"):
        render("{{ x }}", {"x": "éé"}, "native", max_output_bytes=3)
    assert render("{{ x }}", {"x": "éé"}, "native", max_output_bytes=4) == "éé"


@pytest.mark.parametrize("dialect", BOTH)
def test_an_output_is_stopped_while_it_grows(dialect: Dialect) -> None:
    template = "{% for i in s %}{{ big }}{% if not big|upper %}{% endif %}{% endfor %}"
    with pytest.raises(NodeError, match=r"Template output too large \(max 50000, got more\)"):
        render(template, {"s": "a" * 1_000, "big": "x" * 10_000}, dialect, max_output_bytes=50_000)
    with pytest.raises(NodeError, match=r"Template output too large \(max 9, got more\)"):
        render("{{ x }}", {"x": "a" * 1_000}, dialect, max_output_bytes=9)


@pytest.mark.parametrize("dialect", BOTH)
@pytest.mark.parametrize(
    "template",
    ["{{ 'a' * 10**9 }}", "{% for i in range(10**8) %}{% endfor %}",
     "{% for i in range(9000) %}{% for j in range(9000) %}{% endfor %}{% endfor %}",
     "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"],
)  # fmt: skip
def test_endless_work_is_stopped(template: str, dialect: Dialect) -> None:
    started = time.perf_counter()
    assert "Template render error" in failure(template, dialect)
    assert time.perf_counter() - started < 5


def test_repeated_literal_text_burns_fuel_by_its_size() -> None:
    short, long = ("{% for c in s %}" + "x" * size + "{% endfor %}" for size in (10, 10_000))
    assert len(native(short, s="a" * 20_000)) == 200_000
    assert "out of fuel" in failure(long, s="a" * 20_000)


def test_fuel_can_be_given() -> None:
    with pytest.raises(NodeError, match="out of fuel"):
        render("{% for i in x %}{{ i }}{% endfor %}", {"x": [1] * 100}, "native", fuel=50)


def test_a_very_deep_value_is_an_error_or_a_text_and_no_crash() -> None:
    deep: JsonValue = []
    for _ in range(5_000):
        deep = [deep]
    for template in ("{{ x }}", "{{ x|list }}", "{{ x ~ '' }}"):
        assert "Template render error" in failure(template, x=deep)
    assert dify("{{ x }}", x=deep) == "[...]"


def test_a_variable_may_be_called_self() -> None:
    assert native("a{{ x }}", self=1, source=2, name=3, x=4) == "a4"


def test_threads_render_side_by_side() -> None:
    def one(number: int) -> str:
        return native("{% for i in x %}{{ i ~ n }}{% endfor %}", x=[number] * 50, n=True)

    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(one, range(200)))
    assert texts == [f"{number}true" * 50 for number in range(200)]
