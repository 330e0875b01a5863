"""Templates in a process: the renderer's own results and errors, and the limits around it."""

from __future__ import annotations

import pytest

from xworkflow.domain.selectors import Dialect
from xworkflow.errors import NodeError, SandboxError
from xworkflow.ports import SandboxLimits
from xworkflow.runtime_group.sandbox import DefaultSandboxPool

PATIENT = SandboxLimits(timeout_secs=20)
# doubles without a loop of its own, so that no fuel runs out; the values stay views until printed
DOUBLING = "{% set a = 'x' * 1000 %}" + "".join(
    f"{{% set {new} = [{old}, {old}] %}}"
    for old, new in zip("abcdefghijklmnopqrstuvwxy", "bcdefghijklmnopqrstuvwxyz", strict=True)
)


@pytest.mark.parametrize(("dialect", "text"), [("native", "none true"), ("dify", "None True")])
async def test_a_template_is_rendered_in_its_dialect(
    pool: DefaultSandboxPool, dialect: Dialect, text: str
) -> None:
    async with pool.template_vm() as vm:
        assert await vm.render("{{ a }} {{ b }}", {"a": None, "b": True}, dialect, PATIENT) == text


async def test_an_error_of_the_template_is_a_template_error(pool: DefaultSandboxPool) -> None:
    async with pool.template_vm() as vm:
        with pytest.raises(NodeError, match="Template parse error: ") as caught:
            await vm.render("{{ a ", {}, "native", PATIENT)
        assert caught.value.code == "template_error"
        assert await vm.render("{{ 1 }}", {}, "native", PATIENT) == "1"


async def test_output_is_limited(pool: DefaultSandboxPool) -> None:
    async with pool.template_vm() as vm:
        with pytest.raises(NodeError, match=r"Template output too large \(max 10, got 11\)"):
            await vm.render("{{ 'x' * 11 }}", {}, "native", SandboxLimits(max_output_bytes=10))


async def test_pythons_ways_of_a_template_work_in_a_process_too(pool: DefaultSandboxPool) -> None:
    template = (
        "{% set l = [] %}{% for i in x %}{% set _ = l.append('%02d' % i) %}{% endfor %}"
        "{{ l|join(' ')|truncate(8) }} {{ x }}"
    )
    async with pool.template_vm() as vm:
        text = await vm.render(template, {"x": list(range(9))}, "dify", PATIENT)
    assert text == "00... [0, 1, 2, 3, 4, 5, 6, 7, 8]"


GROWING = "{% set l = [0] %}{% for i in range(60) %}{% set _ = l.extend(l) %}{% endfor %}"


@pytest.mark.parametrize(
    ("template", "dialect"), [(DOUBLING + "{{ z|string|length }}", "native"), (GROWING, "dify")]
)
async def test_a_template_that_explodes_fails_alone(
    pool: DefaultSandboxPool, template: str, dialect: Dialect
) -> None:
    async with pool.template_vm() as vm:
        with pytest.raises(NodeError):
            await vm.render(template, {}, dialect, SandboxLimits(0.5))
    async with pool.template_vm() as vm:
        assert await vm.render("{{ 1 }}", {}, "native", PATIENT) == "1"


async def test_a_template_too_large_is_refused_before_it_runs(pool: DefaultSandboxPool) -> None:
    async with pool.template_vm() as vm:
        with pytest.raises(SandboxError, match=r"^Code too large \(max 3 bytes, got 4 bytes\)$"):
            await vm.render("abcd", {}, "native", SandboxLimits(max_code_bytes=3))
