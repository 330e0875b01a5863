"""Templates that want out, and templates that want to last for ever, wherever one is rendered."""

from __future__ import annotations

import asyncio
import time
from copy import deepcopy
from typing import Any, get_args

import pytest

from tests.runtime_group.escapes.templates import BOMBS, INJECTIONS
from xworkflow.domain.jinja import render, syntax_error
from xworkflow.domain.screen import is_bounded
from xworkflow.domain.security_limits import TemplateSafetyConfig
from xworkflow.domain.selectors import Dialect
from xworkflow.errors import NodeError
from xworkflow.ports import SandboxLimits
from xworkflow.runtime_group.sandbox import DefaultSandboxPool

CANARY = "canary-7b1f"
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
SIGNS = (CANARY, "<class", "<module", "<built-in", "<function", " at 0x", "uid=", "root:")
LIMIT_SECS = 1.0
SLACK_SECS = 10.0
"""What a busy machine may need beyond the limit; a bomb that works needs minutes, or memory."""
VARIABLES: dict[str, Any] = {
    "v": "a b-<'c'>" * 40,
    "l": [[1, "x"], [2, "y"]],
    "o": {"a": 1, "b": {"c": [None]}},
}


@pytest.fixture(autouse=True)
def _canary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XWORKFLOW_CANARY", CANARY)


async def in_a_process(
    pool: DefaultSandboxPool, template: str, dialect: Dialect, limits: SandboxLimits
) -> str:
    try:
        async with asyncio.timeout(limits.timeout_secs + SLACK_SECS):
            async with pool.template_vm() as vm:
                return await vm.render(template, deepcopy(VARIABLES), dialect, limits)
    except NodeError as error:
        return str(error)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_no_template_sees_anything_but_its_variables(
    pool: DefaultSandboxPool, dialect: Dialect
) -> None:
    told: dict[str, str] = {}
    limits = SandboxLimits(timeout_secs=20)
    for template in INJECTIONS:
        texts = [await in_a_process(pool, template, dialect, limits)]
        given = deepcopy(VARIABLES)
        try:  # the same, in this process: what is refused there is not so because of the walls
            texts.append(render(template, given, dialect))
        except NodeError as error:
            texts.append(str(error))
        assert given == VARIABLES, template
        if any(sign in text for text in texts for sign in SIGNS):
            told[template] = str(texts)
    assert told == {}


@pytest.mark.slow
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_no_template_lasts_longer_than_its_time(
    pool: DefaultSandboxPool, dialect: Dialect
) -> None:
    slow: dict[str, float] = {}
    for template in BOMBS:
        began = time.monotonic()
        text = await in_a_process(pool, template, dialect, SandboxLimits(LIMIT_SECS))
        took = time.monotonic() - began
        if took > LIMIT_SECS + SLACK_SECS or len(text) > 1_100_000:
            slow[template[:100]] = took
        async with pool.template_vm() as vm:  # who comes next is not slowed by more than a start
            after = await vm.render("{{ v }}", {"v": "next"}, dialect, SandboxLimits(20))
        assert after == "next"
    assert slow == {}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_runs_on_the_workflow_thread_is_quick(dialect: Dialect) -> None:
    """Validation and the screen read every template there; what passes the screen renders there."""
    slow: dict[str, float] = {}
    for template in (*BOMBS, *INJECTIONS):
        began = time.process_time()
        syntax_error(template)
        if is_bounded(template):
            try:
                render(template, VARIABLES, dialect, max_output_bytes=1_048_576)
            except NodeError as error:
                assert error.code == "template_error"  # noqa: PT017 - either outcome is safe
        if (took := time.process_time() - began) > 1:
            slow[template[:100]] = took
    assert slow == {}


@pytest.mark.slow
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "safety", [TemplateSafetyConfig(), TemplateSafetyConfig.strict()], ids=["standard", "strict"]
)
async def test_under_a_level_a_bomb_is_refused_or_small(
    pool: DefaultSandboxPool, dialect: Dialect, safety: TemplateSafetyConfig
) -> None:
    limits = SandboxLimits(LIMIT_SECS, template=safety)
    large: dict[str, int] = {}
    for template in BOMBS:
        text = await in_a_process(pool, template, dialect, limits)
        if len(text.encode(errors="replace")) > safety.max_output_length:
            large[template[:100]] = len(text)
    assert large == {}
