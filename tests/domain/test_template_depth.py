"""Templates whose parts are nested without brackets, deeper than a stack is."""

from __future__ import annotations

import threading

import pytest

from xworkflow.domain.jinja import render, syntax_error
from xworkflow.domain.template_depth import too_deep
from xworkflow.errors import NodeError

DEEP = [
    "{{ 1" + " + 1" * 30_000 + " }}",
    "{{ v" + " ~ v" * 30_000 + " }}",
    "{{ v" + " and v" * 30_000 + " }}",
    "{{ v" + " or v" * 30_000 + " }}",
    "{{ 2" + "**2" * 30_000 + " }}",
    "{{ " + "not " * 30_000 + "v }}",
    "{{ " + "-" * 30_000 + "1 }}",
    "{{ v" + " is not defined" * 30_000 + " }}",
    "{% if 1 %}" + "{% elif 1 %}" * 30_000 + "{% endif %}",
    "{% set a = 1" + " // 1" * 30_000 + " %}",
    "{# a comment #}{{ '{#' }}{{ 1" + " % 1" * 30_000 + " }}",
    "{{ \u20ac }}{{ 1" + " * 1" * 30_000 + " }}",  # no character of a template
    # what stands behind an operand
    *(
        f"{opening}{step * 30_000}{closing}"
        for opening, step, closing in (
            ("{{ v", ".a", " }}"),
            ("{{ v", "[0]", " }}"),
            ("{{ v", "[0:1]", " }}"),
            ("{{ v", "()", " }}"),
            ("{{ v", ".a()", " }}"),
            ("{{ 'a'", ".upper()", " }}"),
            ("{{ v", "|e", " }}"),
            ("{{ v", "|default(1)", " }}"),
            ("{{ [1, f(v", ".a", ")] }}"),
            ("{{ v", " is defined", " }}"),
            ("{{ 1", " if 1 else 1", " }}"),
            ("{{ ", "1 if 1 else ", "1 }}"),
            ("{% do v", "()", " %}"),
            ("{% set v", ".a", " = 1 %}"),
            ("{% set ", "(", "v = 1 %}"),
            ("{% for ", "(", "v in l %}{% endfor %}"),
            ("{% filter e", "|e", " %}{% endfilter %}"),
            ("{% set v", "|e", " %}{% endset %}"),
        )
    ),
]


@pytest.mark.parametrize("template", DEEP, ids=range(len(DEEP)))
def test_a_template_that_is_too_deep_is_a_syntax_error_and_not_the_end(template: str) -> None:
    problem = syntax_error(template)
    assert problem is not None
    assert "more than" in problem.message
    with pytest.raises(NodeError, match=r"Template parse error: syntax error: .* more than"):
        render(template, {"v": 1}, "native")


@pytest.mark.parametrize(
    "template",
    [
        "{{ 1" + " + 1" * 1_000 + " }}",
        "{{ 1" + " if v and not v else 1 }}{{ 1" * 2_000 + " }}",
        "| a | b |\n|---|---|\n" * 5_000 + "{{ v }}",
        "- and, or, not, elif + * / %\n" * 5_000,
        "{% raw %}" + "{{ 1 + 1 }} {% elif %}" * 2_000 + "{% endraw %}",
        "{% if v %}" + "{% elif v %}" * 500 + "{% endif %}",
        "{# " + "a + b - c " * 5_000 + " #}{{ '" + "-" * 5_000 + "' }}",
        "{{ [" + "{'a': v.b.c[0]|upper, 'd': f(v) if v.e is defined else -1}, " * 1_000 + "] }}",
        "{{ v.a" + " + v.b[0]|length" * 900 + " }}",
        "{% set a, b = f(v.c)|d(1), v %}" * 1_000,
        "Prose. With (brackets), [links](to), and so on... " * 1_000 + "{{ v.a }}",
    ],
    ids=range(11),
)
def test_a_long_template_is_not_deep(template: str) -> None:
    assert too_deep(template) is None
    assert syntax_error(template) is None


def test_the_deepest_that_passes_fits_a_small_stack() -> None:
    """In a thread with a megabyte of stack, where the main thread has eight."""
    deepest = "{{ 1" + " + 1" * 1_000 + " }}{% if v %}" + "{% elif v %}" * 500 + "{% endif %}"
    deepest += "{{ '' " + "[0:]" * 400 + "|e" * 600 + " }}"
    texts: list[str] = []
    before = threading.stack_size(1024 * 1024)
    try:
        thread = threading.Thread(target=lambda: texts.append(render(deepest, {}, "native")))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert texts == ["1001"]
