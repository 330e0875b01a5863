"""Scripts of JavaScript that want out: none reaches anything beyond the language."""

from __future__ import annotations

import contextlib
import json
from typing import Any, cast

import pytest

from tests.runtime_group.escapes import javascript
from xworkflow.errors import SandboxError
from xworkflow.ports import SandboxLimits
from xworkflow.runtime_group.sandbox import DefaultSandboxPool

CANARY = "canary-7b1f"
LIMITS = SandboxLimits(timeout_secs=2)

# what was got is looked at from inside, as it may not travel as JSON
LOOK = """
const HOST = ['process', 'require', 'module', 'Deno', 'Bun', 'fetch', 'XMLHttpRequest', 'WebSocket',
  'Worker', 'importScripts', 'WebAssembly', 'SharedArrayBuffer', 'Atomics', 'inspector', 'd8',
  'ShadowRealm', 'read', 'load', 'mainModule', 'binding', 'env', 'execSync', 'readFileSync',
  '_load'];
function look(got, seen = new Set(), depth = 0) {
  if (got === null || (typeof got !== 'object' && typeof got !== 'function')) return [];
  if (seen.has(got) || depth > 3) return [];
  seen.add(got);
  const found = [];
  for (const name of HOST) {
    try { if (name in got && got[name] !== undefined) found.push(name) } catch {}
  }
  for (const text of ['return this', 'return globalThis']) {
    try {
      const made = got.constructor.constructor(text)();
      found.push(...look(made, seen, depth + 1));
    } catch {}
  }
  if (Array.isArray(got)) for (const each of got) found.push(...look(each, seen, depth + 1));
  return found;
}
"""


def script(body: str) -> str:
    return f"""{LOOK}
async function attempt() {{ {body} }}
async function main() {{
  let got;
  try {{ got = await attempt() }} catch (error) {{ got = error }}
  const kind = typeof got;
  delete Object.prototype.toJSON; delete Array.prototype.toJSON;  // of what was tried
  return {{ found: look(got), text: kind === 'string' ? got : '' }};
}}"""


@pytest.fixture(autouse=True)
def _canary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XWORKFLOW_CANARY", CANARY)


@pytest.mark.parametrize(
    "body",
    [
        "return { process: 1 }",
        "globalThis.process = 1; return globalThis",
        "globalThis.process = 1; return [() => {}]",
        "globalThis.process = 1; throw new Error()",
    ],
)
async def test_what_is_in_reach_is_seen(pool: DefaultSandboxPool, body: str) -> None:
    async with pool.js_vm() as vm:
        result = cast("dict[str, Any]", (await vm.execute(script(body), {}, LIMITS)).value)
    assert "process" in result["found"]


@pytest.mark.slow
async def test_no_expression_reaches_beyond_the_language(pool: DefaultSandboxPool) -> None:
    escaped: dict[str, object] = {}
    bodies = list(javascript.expressions())
    assert len(bodies) > 400
    for body in bodies:
        async with pool.js_vm() as vm:
            try:
                result: Any = (await vm.execute(script(body), {}, LIMITS)).value
            except SandboxError as error:
                result = {"found": [], "text": str(error)}
        if result is None or result["found"] != [] or _tells(result):
            escaped[body] = result
    assert escaped == {}


async def test_no_script_that_declares_again_what_surrounds_it_gets_hold_of_anything(
    pool: DefaultSandboxPool,
) -> None:
    told: dict[str, object] = {}
    endings = ("", "\nfunction main() { return typeof process }", "\nmain = () => typeof process")
    for declared in javascript.REDECLARED:
        for ending in endings:
            async with pool.js_vm() as vm:
                try:
                    found = (await vm.execute(f"{declared}{ending}", {"a": 1}, LIMITS)).value
                except SandboxError as error:
                    found = str(error)
            if _tells(found) or found == "object":
                told[f"{declared}{ending}"] = found
    assert told == {}


async def test_what_was_tried_leaves_a_pool_that_works(pool: DefaultSandboxPool) -> None:
    for body in (*javascript.HOST, *javascript.INDIRECT):
        async with pool.js_vm() as vm:
            with contextlib.suppress(SandboxError):
                await vm.execute(script(body), {}, SandboxLimits(timeout_secs=0.5))
        async with pool.js_vm() as vm:
            probe = "const main = () => [typeof process, JSON.stringify({ a: [1] }), `${1}`]"
            assert (await vm.execute(probe, {}, LIMITS)).value == ["undefined", '{"a":[1]}', "1"]


def _tells(found: object) -> bool:
    """Whether a result shows something of the machine."""
    text = json.dumps(found, default=str)
    return any(sign in text for sign in (CANARY, "uid=", "root:x:", "ami-id", "/usr/lib", "/home/"))
