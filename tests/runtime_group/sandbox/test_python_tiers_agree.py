"""The Python code nodes of real exports, in both tiers with the same inputs: the same outputs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from xworkflow.domain.loading import load
from xworkflow.domain.values import JsonValue
from xworkflow.errors import SandboxError
from xworkflow.ports import CodeResult, SandboxLimits
from xworkflow.runtime_group.sandbox import DefaultSandboxPool, PythonTier2

APPS = Path(__file__).resolve().parents[4] / "shared" / "dify" / "apps"
FORCE_TIER2 = "import tempfile\n"
LIMITS = SandboxLimits(timeout_secs=1)
GUESSES: tuple[JsonValue, ...] = (
    "hello world, 你好 3.5",
    '{"a": 1, "b": [1, 2, {"c": "x"}], "result": "ok"}',
    '```json\n[{"title": "t", "url": "https://example.com/a?b=c"}]\n```',
    "",
    7,
    ["one", "two", "one"],
    [{"title": "t", "content": "c", "metadata": {"score": 0.5}}],
    {"data": {"items": [1, 2]}, "text": "t"},
)


def scripts() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Every Python code node: where it is, its code, and the names of its inputs."""
    for path in sorted(APPS.glob("*.yml")):
        for node in load(path.read_text(encoding="utf-8")).nodes:
            data = node.data
            if node.type == "code" and data.get("language") == "python3":
                names = tuple(str(each["variable"]) for each in data.get("variables", ()))
                yield f"{path.stem}/{node.id}", str(data["code"]), names


pytestmark = pytest.mark.skipif(not APPS.exists(), reason="the exports are not here")


@pytest.fixture
async def tiers() -> AsyncIterator[tuple[DefaultSandboxPool, DefaultSandboxPool]]:
    first = DefaultSandboxPool(max_python_vms=1)
    second = DefaultSandboxPool(max_python_vms=1, python_tier2=PythonTier2())
    yield first, second
    await first.aclose()
    await second.aclose()


async def outcome(
    pool: DefaultSandboxPool, code: str, inputs: dict[str, JsonValue]
) -> CodeResult | SandboxError:
    async with pool.python_vm() as vm:
        try:
            return await vm.execute(code, inputs, LIMITS)
        except SandboxError as error:
            return error


@pytest.mark.slow
async def test_both_tiers_give_the_same(
    tiers: tuple[DefaultSandboxPool, DefaultSandboxPool],
) -> None:
    monty, cpython = tiers
    compared = 0
    for place, code, names in scripts():
        for guess in GUESSES:
            inputs = dict.fromkeys(names, guess)
            first = await outcome(monty, code, inputs)
            second = await outcome(cpython, FORCE_TIER2 + code, inputs)
            again = await outcome(cpython, FORCE_TIER2 + code, inputs)
            if isinstance(second, SandboxError) or isinstance(again, SandboxError):
                assert isinstance(first, SandboxError), (place, guess, second)
                if str(second) == "Execution timeout":
                    break  # it sleeps, whatever it is given
                continue
            assert second.engine == "cpython"
            if isinstance(first, SandboxError):
                # only scripts that ask for files: monty refuses, CPython finds none
                assert "Permission denied" in str(first), (place, first)
            elif second.value == again.value:  # else it draws numbers or reads the clock
                assert json.dumps(first.value) == json.dumps(second.value), (place, guess)
                compared += 1
    assert compared > 50
