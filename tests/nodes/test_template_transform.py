"""The template-transform node; the template language has tests of its own."""

from __future__ import annotations

import pytest

from tests.nodes.conftest import FakeSandbox, node, pool, ports
from xworkflow.domain.plan import Placement
from xworkflow.errors import NodeError
from xworkflow.nodes.template_transform import TemplateTransform

VARIABLES = [{"variable": "a", "value_selector": ["x", "v"]}]


def test_a_template_sees_its_declared_variables() -> None:
    drawn = node("template-transform", template="<{{ a }}>{{ other }}", variables=VARIABLES)
    assert TemplateTransform().run(drawn, pool(x={"v": 1})).outputs == {"output": "<1>"}


def test_a_bounded_template_runs_inline_and_another_in_a_sandbox() -> None:
    place = TemplateTransform().place
    assert place(node("template-transform", template="{{ a }}")) is Placement.INLINE
    bomb = "{% set a = 'x' * 1000000 %}{{ a }}"
    assert place(node("template-transform", template=bomb)) is Placement.LOCAL


async def test_a_sandbox_renders_in_the_nodes_dialect_and_is_given_back() -> None:
    sandbox = FakeSandbox("text")
    drawn = node("template-transform", "dify", template="{{ a }}", variables=VARIABLES)
    result = await TemplateTransform().execute(drawn, pool(x={"v": 1}), ports(sandbox))
    assert result.outputs == {"output": "dify:text"}
    assert sandbox.vms["template"].calls[0][:2] == ("{{ a }}", {"a": 1})
    assert sandbox.returned == ["template"]


def test_dify_bounds_the_output() -> None:
    drawn = node("template-transform", "dify", template="{{ a }}", variables=VARIABLES)
    with pytest.raises(NodeError, match="longer than 400000 characters") as caught:
        TemplateTransform().run(drawn, pool(x={"v": "x" * 400_001}))
    assert caught.value.failure.code == "template_error"


def test_a_render_error_fails_the_node() -> None:
    drawn = node("template-transform", template="{{ a|no_such_filter }}")
    with pytest.raises(NodeError, match="Template error: "):
        TemplateTransform().run(drawn, pool())
