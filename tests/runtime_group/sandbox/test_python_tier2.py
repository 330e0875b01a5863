"""Python's second tier: CPython behind the kernel's walls, for what monty cannot run."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from xworkflow.domain.values import JsonValue
from xworkflow.errors import SandboxError
from xworkflow.ports import CodeResult, SandboxLimits
from xworkflow.runtime_group.sandbox import DefaultSandboxPool, ProcessBudget, PythonTier2

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs seccomp and Landlock")

Run = Callable[..., Awaitable[CodeResult]]

PATIENT = SandboxLimits(timeout_secs=20)
SHORT = SandboxLimits(timeout_secs=0.5)
ONLY_CPYTHON = "import tempfile\n"
"""A module that monty has not: what follows runs in the second tier."""

FLOOD = """import os, signal
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
def main():
    for number in range(3, 64):
        try:
            while True: os.write(number, b'x' * 9999)
        except OSError: pass"""


@pytest.fixture
async def tiers(tmp_path: Path) -> AsyncIterator[DefaultSandboxPool]:
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "shop.py").write_text("PRICE = 7\n")
    (tmp_path / "secret.txt").write_text("x")
    pool = DefaultSandboxPool(
        max_python_vms=1, python_tier2=PythonTier2(packages=tmp_path / "packages")
    )
    try:
        await pool.warm(cpython=1)
    except SandboxError:
        await pool.aclose()
        pytest.skip("this kernel has no seccomp or no Landlock")
    yield pool
    await pool.aclose()


@pytest.fixture
def run(tiers: DefaultSandboxPool) -> Run:
    async def run(
        code: str,
        inputs: Mapping[str, JsonValue] | None = None,
        limits: SandboxLimits = PATIENT,
    ) -> CodeResult:
        async with tiers.python_vm() as vm:
            return await vm.execute(code, inputs or {}, limits)

    return run


async def test_the_tier_that_ran_is_visible(run: Run) -> None:
    assert (await run("def main(a):\n    return a", {"a": 1})).engine == "monty"
    code = """class Base:
    def double(self, n): return 2 * n
class Derived(Base):
    def all(self, *numbers):
        for n in numbers: yield self.double(n)
def main(a, b='x'):
    print('seen', a)
    return {'list': list(Derived().all(a, b))}"""
    result = await run(code, {"a": 1})
    assert result == CodeResult(value={"list": [2, "xx"]}, stdout="seen 1", engine="cpython")


async def test_a_script_that_needs_the_second_tier_goes_there_at_once_the_next_time(
    run: Run, tiers: DefaultSandboxPool
) -> None:
    code = ONLY_CPYTHON + "def main():\n    return 1"
    await run(code)
    before = tiers.stats().python.ran_secs
    assert (await run(code)).engine == "cpython"
    assert tiers.stats().python.ran_secs == before


async def test_without_leave_there_is_no_second_tier(run_python: Run) -> None:
    with pytest.raises(SandboxError, match="No module named 'tempfile'"):
        await run_python(ONLY_CPYTHON + "def main():\n    return 1")


async def test_packages_of_the_group_can_be_imported_and_no_others(run: Run) -> None:
    assert (await run("import shop\ndef main():\n    return shop.PRICE")).value == 7
    for name in ("pydantic", "xworkflow", "temporalio"):
        with pytest.raises(SandboxError, match=f"No module named '{name}'"):
            await run(f"import {name}\ndef main():\n    pass")


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        ("def main(:\n    pass", "compilation_error", "Compilation error: SyntaxError: "),
        ("x = 1", "execution_error", "Execution error: the code defines no function main"),
        ("def main(a):\n    pass", "execution_error", "Execution error: TypeError: main() miss"),
        ("def main():\n    return main()", "execution_error", "Execution error: RecursionError"),
        ("def main():\n    raise KeyError('k')", "execution_error", "Execution error: KeyError"),
        ("import sys\ndef main():\n    sys.exit(3)", "execution_error", "Execution error: SystemE"),
        ("def main():\n    return {1}", "execution_error", "Execution error: main returned a val"),
        (
            ONLY_CPYTHON + "import os\ndef main():\n    os._exit(0)",
            "execution_error",
            "Execution error: the script ended its own process",
        ),
        (
            ONLY_CPYTHON + "import ctypes\ndef main():\n    ctypes.string_at(0)",
            "execution_error",
            "Execution error: the script ended its own process",
        ),
        (
            ONLY_CPYTHON + "class E(Exception):\n  def __str__(self): raise self\n"
            "def main(): raise E",
            "execution_error",
            "Execution error: E",
        ),
        (
            ONLY_CPYTHON + "def main():\n    x = []\n    while True: x.append('x' * 1000)",
            "memory_limit",
            "Memory limit exceeded",
        ),
        (
            ONLY_CPYTHON + "def main():\n    return [0] * 10 ** 9",
            "memory_limit",
            "Memory limit exceeded",
        ),
        (
            ONLY_CPYTHON + "def main():\n    return 'x' * (1 << 20)",
            "memory_limit",
            "Output too large (max 1048576 bytes, got 1048578 bytes)",
        ),
        (
            ONLY_CPYTHON + FLOOD,
            "execution_error",
            "Execution error: the script ended its own process",
        ),
    ],
)
async def test_a_faulty_script_fails_with_the_text_of_its_fault(
    run: Run, code: str, kind: str, text: str
) -> None:
    with pytest.raises(SandboxError) as caught:
        await run(code)
    assert caught.value.code == f"sandbox_{kind}"
    assert str(caught.value).startswith(text)
    assert (await run(ONLY_CPYTHON + "def main():\n    return 'next'")).value == "next"


@pytest.mark.parametrize(
    "code",
    [
        "def main():\n    while True: pass",
        "import re\ndef main():\n    re.match('(a+)+$', 'a' * 60 + 'b')",
        "import time\ndef main():\n    time.sleep(9)",
        "import threading\ndef main():\n    threading.Event().wait()",
        "import signal\nsignal.signal(signal.SIGTERM, print)\ndef main():\n    while 1: pass",
    ],
)
async def test_a_script_that_does_not_end_is_killed(run: Run, code: str) -> None:
    with pytest.raises(SandboxError, match=r"^Execution timeout$"):
        await run(ONLY_CPYTHON + code, limits=SHORT)
    assert (await run(ONLY_CPYTHON + "def main():\n    return 'next'")).value == "next"


@pytest.mark.parametrize(
    "attempt",
    [
        "open('/etc/passwd')",
        "open('/proc/self/environ')",
        "open('/proc/self/mem', 'rb')",
        "open('/proc/' + str(os.getppid()) + '/maps')",
        "os.listdir('/')",
        "os.listdir('/proc')",
        "open(SECRET)",
        "open('x', 'w')",
        "open(os.__file__, 'a')",
        "os.mkdir('/tmp/x')",
        "socket.socket()",
        "socket.socket(socket.AF_UNIX)",
        "socket.create_connection(('1.1.1.1', 80), 1)",
        "os.fork()",
        "os.execv('/bin/true', ['true'])",
        "subprocess.run(['/bin/true'])",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.kill(os.getppid(), 9)",
        "os.kill(0, 9)",
        "os.killpg(0, 9)",
        "signal.pthread_kill(threading.main_thread().ident, 9) or os.abort.x",
        "os.setuid(0)",
        "os.memfd_create('x')",
        "resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))",
        "multiprocessing.Process(target=print).start()",
    ],
)
async def test_a_script_reaches_nothing(run: Run, attempt: str, tmp_path: Path) -> None:
    modules = "import os, socket, subprocess, signal, threading, resource, multiprocessing"
    secret = tmp_path / "secret.txt"
    code = f"{modules}\nSECRET = {str(secret)!r}\ndef main():\n    return str({attempt})"
    with pytest.raises(SandboxError, match=r"PermissionError|ModuleNotFoundError: .*'_multip"):
        await run(code)


async def test_a_script_sees_no_environment_and_no_descriptors(run: Run) -> None:
    code = """import os, tempfile
def main():
    found = []
    for number in range(64):
        try:
            os.fstat(number)
        except OSError:
            continue
        found.append(number)
    return [dict(os.environ), found]"""
    environment, found = (await run(code)).value
    assert {key: value for key, value in environment.items() if key != "LC_CTYPE"} == {}
    assert len(found) <= 4  # the three of every program, and the way back


async def test_nothing_passes_from_one_use_to_the_next(run: Run) -> None:
    spoiler = (
        ONLY_CPYTHON
        + """import json, sys, builtins, os, random
json.dumps = lambda value: 'forged'
builtins.len = lambda value: 0
builtins.leak = 1
sys.modules['leaked'] = json
random.seed(1)
os.environ['LEAK'] = '1'
def main():
    return 1"""
    )
    with suppress(SandboxError):  # it spoils the writing of its own result
        await run(spoiler)
    probe = (
        ONLY_CPYTHON
        + """import json, sys, builtins, os, random
def main():
    return [json.dumps(1), len('ab'), hasattr(builtins, 'leak'), 'leaked' in sys.modules,
            'LEAK' in os.environ, random.random()]"""
    )
    first, second = (await run(probe)).value, (await run(probe)).value
    assert isinstance(first, list)
    assert isinstance(second, list)
    assert first[:-1] == ["1", 2, False, False, False]
    assert first[-1] != second[-1]


async def test_two_tiers_need_no_two_places_at_once() -> None:
    pool = DefaultSandboxPool(budget=ProcessBudget(1), python_tier2=PythonTier2())
    async with pool.python_vm() as vm:
        result = await vm.execute(ONLY_CPYTHON + "def main():\n    return 1", {}, PATIENT)
        assert result.engine == "cpython"
        assert vm.process_id != os.getpid()
        assert (await vm.execute("def main():\n    return 2", {}, PATIENT)).value == 2
    await pool.aclose()


FORGED = """import os
def main():
    for number in range(3, 64):
        try: os.write(number, {frame!r})
        except OSError: pass
    os._exit(0)"""


@pytest.mark.parametrize(
    "frame",
    [
        b"{}",
        b"[1]",
        b'{"value": 1, "stdout": {}}',
        b'{"error": "resource_limit_exceeded", "text": "x"}',
        b'{"error": {}, "text": []}',
    ],
)
async def test_a_script_that_answers_for_its_engine_fails(run: Run, frame: bytes) -> None:
    with pytest.raises(SandboxError) as caught:
        await run(ONLY_CPYTHON + FORGED.format(frame=frame))
    assert caught.value.code == "sandbox_execution_error"


LIFTED = """import resource
for kind in (resource.RLIMIT_DATA, resource.RLIMIT_CPU, resource.RLIMIT_AS):
    try: resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (ValueError, OSError): pass
"""
HOARD = """import mmap
kept = []
def main():
    while len(kept) < 40:
        kept.append(mmap.mmap(-1, 8 << 20, flags={flags}))
        kept[-1].write(bytes(8 << 20))
"""


@pytest.mark.parametrize(
    "code",
    [
        LIFTED + "def main(): return len(bytes(300 << 20))",
        LIFTED + "def main(): return len(bytearray(b'x') * (300 << 20))",
        HOARD.format(flags="mmap.MAP_SHARED | mmap.MAP_ANONYMOUS"),
        HOARD.format(flags="mmap.MAP_SHARED"),
        HOARD.format(flags="mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS"),
        HOARD.format(flags="mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x100"),
        LIFTED + HOARD.format(flags="mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS"),
    ],
    ids=["lifted", "lifted-copy", "shared", "shared-file", "private", "stack", "lifted-private"],
)
async def test_a_script_cannot_have_memory_beyond_its_limit(run: Run, code: str) -> None:
    with pytest.raises(SandboxError) as caught:
        await run(ONLY_CPYTHON + code)
    assert caught.value.code in ("sandbox_memory_limit", "sandbox_execution_error")
