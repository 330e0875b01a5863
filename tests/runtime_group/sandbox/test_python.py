"""Python: how ``main`` is called, what comes back, and every error of spec/runtime.md 2.6."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from xworkflow.domain.values import JsonValue
from xworkflow.errors import SandboxError
from xworkflow.ports import CodeResult, SandboxLimits

Run = Callable[..., Awaitable[CodeResult]]

SHORT = SandboxLimits(timeout_secs=0.3)


async def test_main_is_called_with_the_inputs_by_name(run_python: Run) -> None:
    code = "def main(a: int, b: str = 'x') -> dict:\n    return {'result': [a, b]}"
    assert (await run_python(code, {"a": 1})).value == {"result": [1, "x"]}


async def test_results_come_back_as_pool_values(run_python: Run) -> None:
    code = """def main():
    return {
        'pair': (1, (2, 3)), 'infinite': float('inf'), 'nan': float('nan'), 'whole': 20.0,
        'big': 10 ** 30, 'huge': 10 ** 400, 'text': 'é😀', 'none': None, 1: 'one', None: 'null',
        False: 'no',
    }"""
    value = (await run_python(code)).value
    assert value == {
        "pair": [1, [2, 3]],
        "infinite": None,
        "nan": None,
        "whole": 20.0,
        "big": 1e30,
        "huge": None,
        "text": "é😀",
        "none": None,
        "1": "one",
        "null": "null",
        "false": "no",
    }


async def test_inputs_arrive_unchanged(run_python: Run) -> None:
    inputs: dict[str, JsonValue] = {
        "value": {"q": "\"'\\ \u2028 é😀", "n": -1.5, "l": [1, None, True, {}]}
    }
    assert (await run_python("def main(value):\n    return value", inputs)).value == inputs["value"]


async def test_prints_are_captured(run_python: Run) -> None:
    code = "print('top')\ndef main():\n    print('a', [1], sep='-')"
    assert (await run_python(code)).stdout == "top\na-[1]"


async def test_the_usual_modules_work(run_python: Run) -> None:
    code = """import json, re, math, datetime, random
def main():
    now = datetime.datetime.now()
    return [json.loads(json.dumps({'a': [1]})), re.findall('a.', 'banana'), math.floor(2.5),
            now.year > 2024, 1 <= random.randint(1, 6) <= 6, random.random()]"""
    first, second = (await run_python(code)).value, (await run_python(code)).value
    assert first[:-1] == [{"a": [1]}, ["an", "an"], 2, True, True]
    assert first[-1] != second[-1]


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        ("def main(:\n    pass", "compilation_error", "Compilation error: SyntaxError: "),
        ("x = (", "compilation_error", "Compilation error: SyntaxError: "),
        ("x = 1", "execution_error", "Execution error: the code defines no function main"),
        ("raise KeyError('top')", "execution_error", "Execution error: KeyError: top"),
        (
            "def main():\n    raise ValueError('boom')",
            "execution_error",
            "Execution error: ValueError: boom",
        ),
        ("def main(a):\n    return a", "execution_error", "Execution error: TypeError: main() mis"),
        ("def main():\n    return main()", "execution_error", "Execution error: RecursionError"),
        ("import subprocess", "execution_error", "Execution error: ModuleNotFoundError"),
        (
            "def main():\n    return open('/etc/passwd').read()",
            "execution_error",
            "Execution error: PermissionError",
        ),
        (
            "def main():\n    raise TimeoutError('mine')",
            "execution_error",
            "Execution error: TimeoutError: mine",
        ),
        (
            "def main():\n    return {1, 2}",
            "execution_error",
            "Execution error: main returned a value of type set, which JSON cannot hold",
        ),
        (
            "def main():\n    return [b'x']",
            "execution_error",
            "Execution error: main returned a value of type bytes, which JSON cannot hold",
        ),
        (
            "class Thing:\n    pass\ndef main():\n    return Thing()",
            "execution_error",
            "Execution error: main returned a value of type Thing, which JSON cannot hold",
        ),
        (
            "def main():\n    return {(1, 2): 3}",
            "execution_error",
            "Execution error: main returned a key of type tuple, which JSON cannot hold",
        ),
        (
            "def main():\n    x = []\n    for _ in range(300): x = [x]\n    return x",
            "execution_error",
            "Execution error: the result is nested too deeply",
        ),
        (
            "def main():\n    x = []\n    for _ in range(100000): x = [x]\n    return x",
            "execution_error",
            "Execution error: the result is nested too deeply",
        ),
    ],
)
async def test_a_faulty_script_fails_with_the_text_of_its_fault(
    run_python: Run, code: str, kind: str, text: str
) -> None:
    with pytest.raises(SandboxError) as caught:
        await run_python(code)
    assert caught.value.code == f"sandbox_{kind}"
    assert str(caught.value).startswith(text)
    assert not caught.value.failure.retryable


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "def main():\n    while True: pass",
        "def main():\n    while True: print('x' * 1000)",
        "import time\ndef main():\n    while True: time.sleep(0.1)",
        "import re\ndef main():\n    for _ in range(10 ** 9): re.sub('a', 'b', 'a' * 99)",
        "def main():\n  try:\n    while True: pass\n  except BaseException:\n    main()",
    ],
)
async def test_a_script_that_does_not_end_is_stopped(run_python: Run, code: str) -> None:
    with pytest.raises(SandboxError, match=r"^Execution timeout$") as caught:
        await run_python(code, limits=SHORT)
    assert caught.value.code == "sandbox_timeout"
    assert caught.value.failure.retryable
    assert (await run_python("def main():\n    return 'next'")).value == "next"


@pytest.mark.parametrize(
    "code",
    [
        "def main():\n    x = []\n    while True: x.append('x' * 1000)",
        "def main():\n    return len('x' * 10 ** 9)",
        "def main():\n    return 10 ** (10 ** 8)",
        "def main():\n    return [0] * 10 ** 9",
    ],
)
async def test_a_memory_eater_is_stopped(run_python: Run, code: str) -> None:
    with pytest.raises(SandboxError, match=r"^Memory limit exceeded$") as caught:
        await run_python(code)
    assert caught.value.code == "sandbox_memory_limit"
    assert (await run_python("def main():\n    return 'next'")).value == "next"


async def test_sizes_of_code_input_and_output_are_limited_to_the_byte(run_python: Run) -> None:
    code = "def main(t):\n    return t + t"
    inputs = {"t": "ééé"}
    for field, size, kind in (
        ("code", len(code), "execution_error"),
        ("input", 14, "memory_limit"),
        ("output", 14, "memory_limit"),
    ):
        exact = SandboxLimits(**dict[str, Any]({f"max_{field}_bytes": size}))
        assert (await run_python(code, inputs, exact)).value == "éééééé"
        tight = SandboxLimits(**dict[str, Any]({f"max_{field}_bytes": size - 1}))
        with pytest.raises(SandboxError) as caught:
            await run_python(code, inputs, tight)
        name = field.capitalize()
        assert str(caught.value) == f"{name} too large (max {size - 1} bytes, got {size} bytes)"
        assert caught.value.code == f"sandbox_{kind}"


async def test_a_flood_of_output_is_cut(run_python: Run) -> None:
    code = "def main():\n    for _ in range(1000): print('x' * 99)\n    return 1"
    result = await run_python(code, limits=SandboxLimits(max_output_bytes=1000))
    assert result.value == 1
    assert len(result.stdout) == 999  # the last line's end is dropped


async def test_nothing_passes_from_one_use_to_the_next(run_python: Run) -> None:
    await run_python("import json\nleak = 1\ndef main():\n    global other\n    other = 2")
    code = "def main():\n    found = []\n"
    for name in ("leak", "other", "json", "_inputs"):
        code += f"    try:\n        found.append(str({name}))\n    except NameError: pass\n"
    assert (await run_python(f"{code}    return [x for x in found if x != '{{}}']")).value == []


async def test_modules_that_the_interpreter_lacks_are_lent(run_python: Run) -> None:
    code = """import uuid, statistics, string, html, textwrap, hmac
from urllib.parse import quote, urlencode, parse_qs
import urllib.parse
def main():
    parts = urllib.parse.urlparse('https://user@example.com:8443/a/b?x=1&y=2#top')
    return {
        'uuid': len(str(uuid.uuid4())), 'other': str(uuid.uuid4()) != str(uuid.uuid4()),
        'five': uuid.uuid5(uuid.NAMESPACE_DNS, 'example.com'),
        'quoted': quote('ä b/c', safe=''), 'form': urlencode({'a': 1, 'b': 'x y'}),
        'query': parse_qs(parts.query), 'host': [parts.scheme, parts.hostname, parts.port],
        'mean': statistics.mean([1, 2, 6]), 'spread': round(statistics.stdev([1, 2, 6]), 3),
        'letters': string.ascii_lowercase[:3], 'html': html.unescape(html.escape('<a & b>')),
        'wrapped': textwrap.wrap('one two three', width=7),
        'signature': hmac.new(b'key', b'message', 'sha256').hexdigest()[:8],
    }"""
    assert (await run_python(code)).value == {
        "uuid": 36,
        "other": True,
        "five": "cfbff0d1-9375-5685-968c-48ce8b15ae17",
        "quoted": "%C3%A4%20b%2Fc",
        "form": "a=1&b=x+y",
        "query": {"x": ["1"], "y": ["2"]},
        "host": ["https", "example.com", 8443],
        "mean": 3,
        "spread": 2.646,
        "letters": "abc",
        "html": "<a & b>",
        "wrapped": ["one two", "three"],
        "signature": "6e9ef29b",
    }


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("statistics.mean([])", "StatisticsError|mean requires"),
        ("textwrap.fill('x', width=0)", "ValueError"),
        ("hmac.new(b'k', b'm', 'md99')", "TypeError"),
        ("uuid.uuid4().hex", "AttributeError"),
        ("html.escape(None)", "AttributeError|TypeError"),
        ("urllib.parse.os", "AttributeError|ImportError"),
        ("statistics.sys.modules", "AttributeError"),
        ("string.Formatter().format('{0.__class__}', 1)", "AttributeError"),
        ("html.escape.__globals__", "AttributeError"),
        ("urllib.request.urlopen('http://127.0.0.1')", "AttributeError"),
    ],
)
async def test_lent_modules_lend_nothing_else(run_python: Run, call: str, text: str) -> None:
    modules = "import uuid, statistics, string, html, textwrap, hmac, urllib.parse"
    code = f"{modules}\ndef main():\n    return str({call})"
    with pytest.raises(SandboxError, match=text) as caught:
        await run_python(code)
    assert caught.value.code == "sandbox_execution_error"


async def test_a_lent_function_may_be_called_as_often_as_time_allows(run_python: Run) -> None:
    code = "import html\ndef main():\n    return len([html.escape('<') for _ in range(5000)])"
    assert (await run_python(code)).value == 5000


@pytest.mark.parametrize("sign", ["\\u0001", "\\u00e9", "\\u4e00"])
async def test_a_flood_of_signs_that_json_writes_long_is_cut_too(
    run_python: Run, sign: str
) -> None:
    result = await run_python(
        "def main():\n    for _ in range(40): print('{0}' * 30000)\n    return 1".replace(
            "{0}", sign
        )
    )
    assert result.value == 1
    assert 1_000_000 < len(result.stdout) <= 1024 * 1024
