"""What native code could do from inside a sandbox process: nothing.

No engine lets a script try these, so a plain Python process locks itself down as they do.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from xworkflow.runtime_group.sandbox import DefaultSandboxPool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux keeps these")

ROOM = Path(__file__).parents[3] / "runtime_group" / "sandbox"
ATTEMPT = """
import ctypes, json, os, signal, socket, sys
sys.path.insert(0, {room!r})
from child_process import lockdown
{before}
given_up = lockdown.isolate()
given_up += lockdown.seal()
try:
    {attempt}
    outcome = "done"
except OSError as error:
    outcome = type(error).__name__
os.write(1, json.dumps([given_up, outcome]).encode())
os._exit(0)
"""


def attempt(code: str, before: str = "pass") -> tuple[list[str], str]:
    """What was given up, and how the attempt ended afterwards."""
    script = ATTEMPT.format(room=str(ROOM), attempt=code, before=before)
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, check=True, timeout=60, env={}
    )
    given_up, outcome = json.loads(done.stdout)
    return given_up, outcome


RAISE = "if ctypes.CDLL(None, use_errno=True).{call} < 0: raise OSError(ctypes.get_errno(), '')"


def raw(call: str) -> str:
    return RAISE.format(call=call)


@pytest.mark.parametrize(
    "code",
    [
        "open('/etc/passwd')",
        "os.open('/', os.O_RDONLY)",
        "os.open('/tmp/x', os.O_WRONLY | os.O_CREAT)",
        "os.open('/proc/self/environ', os.O_RDONLY)",
        "os.listdir('/')",
        "os.stat('/etc/passwd') and os.readlink('/proc/self/exe')",
        "socket.socket()",
        "socket.socket(socket.AF_UNIX)",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "socket.socketpair()",
        "os.fork()",
        "os.execv('/bin/true', ['true'])",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.kill(os.getppid(), signal.SIGTERM)",
        "os.kill(1, 0)",
        "os.memfd_create('x')",
        "os.chroot('/')",
        "os.setuid(0)",
        "os.unlink('/tmp/x')",
        "os.mkdir('/tmp/x')",
        "os.chmod('/tmp', 0o777)",
        raw("ptrace(16, os.getppid(), 0, 0)"),
        raw("mount(b'none', b'/mnt', b'tmpfs', 0, None)"),
        raw("unshare(0x10000000)"),
        raw("setns(0, 0)"),
        raw("prctl(4, 1, 0, 0, 0)"),
        raw("syscall(321, 0, 0, 0)"),  # bpf
        raw("syscall(425, 1, 0)"),  # io_uring_setup
        raw("syscall(298, 0, 0, 0, 0, 0)"),  # perf_event_open
        raw("syscall(323, 0)"),  # userfaultfd
        raw("syscall(250, 0, 0, 0, 0, 0)"),  # keyctl
        raw("syscall(434, os.getppid(), 0)"),  # pidfd_open
        raw("syscall(310, os.getppid(), 0, 0, 0, 0, 0)"),  # process_vm_readv
        raw("syscall(0x40000000 + 2, b'/etc/passwd', 0)"),  # open in the x32 table
    ],
)
def test_native_code_gets_nowhere(code: str) -> None:
    given_up, outcome = attempt(code)
    if "seccomp" not in given_up:
        pytest.skip("this platform has no seccomp")
    assert outcome == "PermissionError"


def test_threads_that_are_there_already_are_held_as_well() -> None:
    before = """
import threading, queue
asked, answered = queue.Queue(), queue.Queue()
def work():
    asked.get()
    try:
        open('/etc/passwd')
        answered.put(OSError('opened'))
    except OSError as error:
        answered.put(error)
threading.Thread(target=work, daemon=True).start()"""
    given_up, outcome = attempt("asked.put(1); raise answered.get()", before)
    if "seccomp" not in given_up:
        pytest.skip("this platform has no seccomp")
    assert outcome == "PermissionError"


def test_memory_threads_and_clocks_go_on_working() -> None:
    code = (
        "import threading, time; t = threading.Thread(target=time.sleep, args=(0.001,)); "
        "t.start(); t.join(); bytearray(10 ** 7); os.urandom(8)"
    )
    assert attempt(code, "import threading")[1] == "done"


async def test_every_engine_reports_what_it_gave_up(pool: DefaultSandboxPool) -> None:
    async with pool.js_vm(), pool.python_vm(), pool.wasm_vm(), pool.template_vm():
        pass
    stats = pool.stats()
    reports: list[Any] = [stats.javascript, stats.python, stats.wasm, stats.template]
    plain = attempt("pass")[0]
    for report in reports:
        assert list(report.lockdown) == plain
        assert "limits" in report.lockdown


async def test_no_process_has_an_environment_or_descriptors_of_the_worker(
    pool: DefaultSandboxPool, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    with secret.open() as held:
        assert held
        async with pool.js_vm() as js, pool.python_vm() as py, pool.wasm_vm() as wasm:
            for vm in (js, py, wasm):
                inside = Path(f"/proc/{vm.process_id}")
                assert (inside / "environ").read_bytes() == b""
                opened = {str(link.readlink()) for link in (inside / "fd").iterdir()}
                assert str(secret) not in opened
                kinds = {name.partition(":")[0] for name in opened if not name.startswith("/proc/")}
                assert kinds <= {"socket", "pipe", "anon_inode", "/dev/null"}
