"""What templates of Dify say in Python's way. The expected texts are those of Jinja2 3.1."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import pytest

from xworkflow.domain.jinja import render
from xworkflow.domain.loading import load
from xworkflow.domain.python_style import pythonise
from xworkflow.domain.screen import is_bounded
from xworkflow.domain.template_tokens import scan
from xworkflow.errors import NodeError

VALUES: dict[str, Any] = {
    "s": "The quick brown fox",
    "n": 2,
    "nums": [3, 1, 2, 2],
    "objs": [{"name": "a", "age": 5}, {"name": "b", "age": 3}],
    "o": {"b": "x", "a": 1},
}


def dify(template: str) -> str:
    given = copy.deepcopy(VALUES)
    text = render(template, given, "dify")
    assert given == VALUES  # whatever a template changes is its own copy
    return text


def failure(template: str) -> str:
    with pytest.raises(NodeError) as caught:
        dify(template)
    assert caught.value.code == "template_error"
    return str(caught.value)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ s|truncate(5) }}", "Th..."),
        ("{{ s|truncate(8, true) }}", "The q..."),
        ("{{ s|truncate(8, True, '…', 0) }}", "The qui…"),
        ("{{ s|truncate(length=8, end='!') }}", "The!"),
        ("{{ s|truncate(13) }}", "The quick..."),
        ("{{ s|truncate }}", "The quick brown fox"),
        ("{{ s|truncate(3) }}", "..."),
        ("{{ s|wordcount }} {{ ''|wordcount }}", "4 0"),
        ("{{ s|wordwrap(9, wrapstring='/') }}", "The quick/brown fox"),
        ("{{ 'a-very-long'|wordwrap(6) }}", "a-\nvery-\nlong"),
        ("{{ 'ab\nc'|wordwrap(1, false) }}", "ab\nc"),
        ("{{ 'ab'|center(6) }}|", "  ab  |"),
        ("{{ '<a&\"\\''|forceescape }}", "&lt;a&amp;&#34;&#39;"),
        ("{{ {'a': 1, 'b': 'x y'}|urlencode }} {{ 'a/b c'|urlencode }}", "a=1&b=x+y a/b%20c"),
        ("{{ [['a', 'x/y']]|urlencode }} {{ 5|urlencode }}", "a=x%2Fy 5"),
        ("{{ '%s-%s'|format('a', none) }} {{ '%(a)s'|format(a=5) }}", "a-None 5"),
        ("{{ objs|map(attribute='name')|map('center', 3)|list }}", "[' a ', ' b ']"),
    ],
)
def test_a_filter_takes_what_jinja2_takes(template: str, text: str) -> None:
    assert dify(template) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ '%s-%d' % ('a', 3) }} {{ '%.2f' % 3.14159 }} {{ '%d%%' % 5 }}", "a-3 3.14 5%"),
        ("{{ '%5.1f|%-5s|' % (2.25, 'a') }}", "  2.2|a    |"),
        ("{{ '%s' % o }} {{ '%s' % nums }}", "{'b': 'x', 'a': 1} [3, 1, 2, 2]"),
        ("{{ '%(name)s' % objs[0] }} {{ '%(a)s' % {'a': 1} }}", "a 1"),
        ("{{ '%s' % none }} {{ '%s' % true }} <{{ '%s' % u }}>", "None True <>"),
        ("{{ 'a' ~ '%s' % 'b' ~ 'c' }} {{ 'a' + '%s' % 'b' }} {{ '%s' % 'b' + 'c' }}",
         "abc ab bc"),
        ("{{ ('%s' % 'b').upper() }} {{ '%s' % s.upper() }} {{ '%s' % s|upper }}",
         "B THE QUICK BROWN FOX THE QUICK BROWN FOX"),
        ("{{ '%s %s' % (s|length, 'x'.upper()) }}", "19 X"),
        ("{% set f = '%.1f' %}{{ f % 2.25 }}", "2.2"),
        ("{% for i in nums %}{{ '%02d' % i }}{{ loop.index % 2 }} {% endfor %}",
         "031 010 021 020 "),
        ("{{ 7 % 3 }} {{ 2 * 5 % 3 }} {{ 2 + 7 % 3 }} {{ n * 3 % 4 }} {{ (n + 5) % 4 }}",
         "1 1 3 2 3"),
        ("{{ -n % 3 }} {{ n % -3 }} {{ n ** 2 % 3 }} {{ 7 % n }} {{ 7.5 % n }}", "1 -1 1 1 1.5"),
        ("{% if n % 2 %}odd{% else %}even{% endif %} {{ n % 2 == 0 }}", "even True"),
        ("{{ '{}%'.format(5) }} {{ '5%' }} 100 %", "5% 5% 100 %"),
        ("{% set a %}{{ n % 3 }}{% endset %}{{ a }}", "2"),
    ],
)  # fmt: skip
def test_the_percent_sign_formats_texts_and_divides_numbers(template: str, text: str) -> None:
    assert dify(template) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ '5'.zfill(3).rjust(5, '*') }} {{ 'ab'.ljust(3) ~ '|' }}", "**005 ab |"),
        ("{{ s.split(' ')[0].center(9, '-') }}", "---The---"),
        ("{{ 'a.b.c'.rsplit('.', 1)[0] }} {{ 'a.b'.partition('.')[2] }}", "a.b b"),
        ("{{ 'a.b.c'.rpartition('.')[0] }} {{ 'aBc'.swapcase() }} {{ 'A'.casefold() }}",
         "a.b AbC a"),
        ("{{ 'xay'.removeprefix('x').removesuffix('y') }}", "a"),
        ("{{ s.index('q') }} {{ 1 + s.index('q') }} {{ not s.rindex('q') }}", "4 5 False"),
        ("{{ nums.index(2) }} {{ [1, 2].index(2) }}", "2 1"),
        ("{{ (n|string).zfill(3) }} {{ objs[0].name.zfill(3) }}", "002 00a"),
        ("{{ {'zfill': 1}.zfill }}", "1"),
        ("{{ 'a\tb'.expandtabs(4) }}", "a   b"),
    ],
)  # fmt: skip
def test_texts_have_the_methods_of_python(template: str, text: str) -> None:
    assert dify(template) == text


LISTS = [
    ("{% set l = [] %}{% for i in nums %}{% set _ = l.append(i * 2) %}{% endfor %}{{ l }}",
     "[6, 2, 4, 4]"),
    ("{% set l = [] %}{% do l.append(1) %}{{ l }}", "[1]"),
    ("{% set l = [] %}{{ l.append('a') }}{{ l }}", "None['a']"),
    ("{% set l = [] %}{% if l.append(1) %}{% endif %}{{ l|length }}", "1"),
    (("{% set ns = namespace(l=[]) %}{% for i in nums %}{% set _ = ns.l.append(i) %}{% endfor %}"
     "{{ ns.l }}"), "[3, 1, 2, 2]"),
    (("{% set l = [] %}{% for x in objs %}{% set _ = l.append({'n': x.name, 'a': [x.age]}) %}"
     "{% endfor %}{{ l }} {{ l|tojson }} {{ l|map(attribute='n')|join }}"),
     ("[{'n': 'a', 'a': [5]}, {'n': 'b', 'a': [3]}] "
     '[{"a": [5], "n": "a"}, {"a": [3], "n": "b"}] ab')),
    (("{% set seen = [] %}{% for x in nums %}{% if x not in seen %}{{ x }}"
     "{% set _ = seen.append(x) %}{% endif %}{% endfor %}"), "312"),
    (("{% set l = [3, 1, 2] %}{% set _ = l.sort(reverse=true) %}{{ l }}{{ l[0] }}{{ l[1:] }}"
     "{{ l + [4] }}{{ 3 in l }}{{ l == [3, 2, 1] }}"), "[3, 2, 1]3[2, 1][3, 2, 1, 4]TrueTrue"),
    (("{% set l = [1, 2, 3] %}{% set _ = l.remove(2) %}{% set _ = l.reverse() %}{{ l }}"
     "{% set _ = l.insert(0, 9) %}{{ l.pop() }}{{ l.pop(0) }}{{ l }}{% set _ = l.clear() %}"
     "{{ l }}{{ 'e' if not l }}"), "[3, 1]19[3][]e"),
    ("{% set l = s.split(' ') %}{% set _ = l.extend(['x']) %}{{ l[-2:] }}", "['fox', 'x']"),
    ("{% set l = nums|map('string')|list %}{% set _ = l.append('x') %}{{ l|join(',') }}",
     "3,1,2,2,x"),
    ("{% set a = [] %}{% set b = a %}{% set _ = b.append(1) %}{{ a }}{{ b }}", "[1][1]"),
    ("{% set a = [1] %}{% set b = a.copy() %}{% set _ = b.append(2) %}{{ a }}{{ b }}", "[1][1, 2]"),
    ("{% set l = [] %}{% set _ = l.append([]) %}{% set _ = l[0].append((1, 2)) %}{{ l }}",
     "[[(1, 2)]]"),
    (("{% macro add(to, x) %}{% set _ = to.append(x) %}{% endmacro %}{% set l = [] %}"
     "{{ add(l, 1) }}{{ l }}"), "[1]"),
    ("{% set _ = nums.append(9) %}{{ nums }}", "[3, 1, 2, 2, 9]"),
    ("{% set l = [] %}{% set _ = l.append(l) %}{{ l }}", "[[...]]"),
    ("{% set x = u %}{% set l = [none] %}{% set _ = l.append(1.5) %}<{{ x }}>{{ l }}",
     "<>[None, 1.5]"),
]  # fmt: skip
OBJECTS = [
    (("{% set d = {} %}{% for x in objs %}{% set _ = d.update({x.name: x.age}) %}{% endfor %}"
     "{{ d }}{{ d|length }}{{ d.a }}{% for k, v in d.items() %}{{ k }}{{ v }}{% endfor %}"),
     "{'a': 5, 'b': 3}25a5b3"),
    ("{% set d = {'k': []} %}{% set _ = d.k.append(1) %}{% set _ = d['k'].append(2) %}{{ d }}",
     "{'k': [1, 2]}"),
    (("{% set d = {} %}{% set _ = d.setdefault('a', []).append(1) %}{{ d }}{{ d.pop('a') }}"
     "{{ d.pop('z', 5) }}{{ d }}"), "{'a': [1]}[1]5{}"),
    ("{% set d = dict(a=1) %}{% set e = d.copy() %}{% set _ = d.update(x=1) %}{{ d }}{{ e }}",
     "{'a': 1, 'x': 1}{'a': 1}"),
    ("{% for x in objs %}{% set _ = x.update({'x': 1}) %}{% endfor %}{{ objs[0] }}",
     "{'name': 'a', 'age': 5, 'x': 1}"),
    ("{% set d = {'a': 1} %}{% set _ = d.clear() %}{{ d }}", "{}"),
]  # fmt: skip


@pytest.mark.parametrize(("template", "text"), [*LISTS, *OBJECTS])
def test_lists_and_objects_can_be_changed(template: str, text: str) -> None:
    assert dify(template) == text


@pytest.mark.parametrize("template", [template for template, _ in (*LISTS, *OBJECTS)])
def test_a_template_that_changes_values_is_left_to_a_sandbox(template: str) -> None:
    assert not is_bounded(template)


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{ '%d' % 'x' }}", "%d format"),
        ("{{ '%s %s' % 'x' }}", "not enough arguments"),
        ("{{ o % 2 }}", "% takes a text, or two numbers"),
        ("{{ n % 0 }}", "modulo by zero"),
        ("{{ '%s %(a)s'|format(1, a=2) }}", "by position or by name, not both"),
        ("{{ s|truncate(2) }}", "the length must be 3 or more"),
        ("{{ s.index('z') }}", "substring not found"),
        ("{{ n.zfill(3) }}", "unknown method: a value has no method named zfill"),
        ("{{ o.index(3) }}", "unknown method: a value has no method named index"),
        ("{% set l = [] %}{{ l.pop() }}", "pop from empty list"),
        ("{% set l = [1, 'a'] %}{{ l.sort() }}", "not supported between"),
        ("{% set d = {} %}{{ d.pop('a') }}", "'a'"),
        ("{% set l = [] %}{{ l.append(l) }}{{ l|tojson }}", "ircular"),
        ("{{ s.append(1) }}", "unknown method"),
        ("{{ nums|random }}", "filter random is unknown"),  # no replay would repeat it
    ],
)
def test_what_does_not_fit_is_an_error_of_the_template(template: str, problem: str) -> None:
    assert problem in failure(template)


@pytest.mark.parametrize(
    "template",
    [
        "{{ '%999999999d' % 5 }}",
        "{{ '%.999999999f' % 5 }}",
        "{{ '%*d' % (999999999, 5) }}",
        "{{ '%999999999d'|format(5) }}",
        "{{ s.center(999999999) }}",
        "{{ s.zfill(10 ** 10) }}",
        "{{ s|center(10 ** 10) }}",
        "{{ 'a\tb'.expandtabs(999999999) }}",
    ],
)
def test_nothing_is_padded_to_any_length(template: str) -> None:
    started = time.perf_counter()
    assert "10000 characters at most" in failure(template)
    assert time.perf_counter() - started < 1
    assert not is_bounded(template)


@pytest.mark.parametrize(
    "template",
    ["{{ x }}", "a % b {{ x|tojson }} {% for i in x %}{{ i }}{% endfor %}", "{{ 7 % 3 }}",
     "{% set l = [1] %}{{ l }}", "{{ '%s' }}", "{{ x.append }} {{ x['append'](1) }}", "{{ x %"],
)  # fmt: skip
def test_a_template_without_pythons_ways_is_left_as_it_is(template: str) -> None:
    parts = scan(template) if template != "{{ x %" else ()
    assert pythonise(template, parts) == (template, False)


def test_the_lines_of_a_template_stay_where_they_are() -> None:
    assert "(in template:3)" in failure(
        "{% set l = [\n1] %}{% set _ = l.append('%s' % 1) %}\n{{ 1/0 }}"
    )


def test_a_very_deep_value_is_no_crash_in_a_template_that_changes_values() -> None:
    deep: Any = []
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(NodeError, match="Template render error"):
        render("{% set l = [] %}{{ l.append(x) }}", {"x": deep}, "dify")


def plausible(template: str) -> list[Any]:
    """Values that the author of a template may have meant."""
    rows = [{"content": "c", "url": "u", "text": "t"}]
    if "[0]" in template or "data.url" in template:
        return [rows]
    if "|float" in template:
        return ["150", 2.5]
    if "join(" in template or "{% for" in template:
        return [["a", "b"], rows]
    return ["text", 2.5, None, ["a", "b"], rows]


def test_every_template_of_the_shared_exports_renders(shared: Path) -> None:
    rendered = 0
    for file in sorted(shared.glob("dify/*/*.yml")):
        for drawn in load(file.read_bytes()).nodes:
            if drawn.type != "template-transform":
                continue
            template = str(drawn.data["template"])
            names = [binding["variable"] for binding in drawn.data.get("variables", ())]
            for value in plausible(template):
                text = render(template, dict.fromkeys(names, value), "dify")
                assert "{{" not in text.replace("{{ line }}", "").replace("{{ qrcode }}", "")
                rendered += 1
    assert rendered > 100
