"""Plain scripts, as a user writes and runs them: the server, the worker, and a clean end."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from xworkflow.embedded.data_dir import DataDir

pytestmark = [pytest.mark.temporal, pytest.mark.usefixtures("temporal_binary")]

APP = """
version: "0.1.0"
nodes:
  - id: start
    data: {type: start, title: S, variables: [{variable: name, type: string, label: n}]}
  - id: hello
    data:
      type: code
      title: Hello
      language: javascript
      code: "function main({ n }) { SPIN; return { text: 'Hello ' + n } }"
      variables: [{variable: n, value_selector: [start, name]}]
  - id: end
    data: {type: end, title: E, outputs: [{variable: text, value_selector: [hello, text]}]}
edges:
  - {id: e1, source: start, target: hello}
  - {id: e2, source: hello, target: end}
"""
SPIN = "const end = Date.now() + 20000; while (Date.now() < end) {}"

README = """
import asyncio
from pathlib import Path

from xworkflow import WorkflowRunner, load


async def main() -> None:
    schema = load(Path("app.yml").read_text())
    handle = await WorkflowRunner.builder(schema).user_inputs({"name": "Ada"}).run()
    print(await handle.wait())


asyncio.run(main())
"""
DONE = "Completed(outputs={'text': 'Hello Ada'}, exceptions=0)"


class Script:
    """Runs scripts in a folder with a workflow, each in a process of its own."""

    def __init__(self, folder: Path, address: str | None = None) -> None:
        self.folder = folder
        self.data = DataDir(folder / "data")
        (folder / "app.yml").write_text(APP.replace("SPIN; ", ""))
        (folder / "slow.yml").write_text(APP.replace("SPIN", SPIN))
        clean = {name: v for name, v in os.environ.items() if not name.startswith("TEMPORAL_A")}
        self.environment = clean | {"XWORKFLOW_DATA": str(self.data.folder)}
        if address is not None:
            self.environment["TEMPORAL_ADDRESS"] = address

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run to the end, within a minute."""
        return subprocess.run(
            [sys.executable, "-c", script],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def has_ended_clean(done: subprocess.CompletedProcess[str]) -> bool:
    return (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def scripts(tmp_path: Path) -> Script:
    """Scripts that start the embedded server."""
    return Script(tmp_path)


@pytest.fixture
def connected(tmp_path: Path, temporal_server: str) -> Script:
    """Scripts that use a server which is there already."""
    return Script(tmp_path, temporal_server)


def test_the_script_of_the_readme_runs_in_a_fresh_directory_and_leaves_no_process(
    scripts: Script,
) -> None:
    done = scripts.run(README)
    assert done.stdout.strip() == DONE
    assert has_ended_clean(done)
    assert scripts.data.database.exists()
    assert scripts.data.read_record() is None  # the server's keeper removes it last


def test_one_process_may_run_two_event_loops_one_after_the_other(scripts: Script) -> None:
    done = scripts.run(README + "\nasyncio.run(main())\n")
    assert done.stdout.split("\n")[:2] == [DONE, DONE]
    assert has_ended_clean(done)
    assert scripts.data.read_record() is None


def test_a_script_may_close_and_go_on(connected: Script) -> None:
    script = README.replace("import WorkflowRunner,", "import WorkflowRunner, close,").replace(
        "asyncio.run(main())", "async def both():\n    await main()\n    await close()\n"
        "    await main()\n\nasyncio.run(both())"
    )  # fmt: skip
    done = connected.run(script)
    assert done.stdout.split("\n")[:2] == [DONE, DONE]
    assert has_ended_clean(done)


def test_a_live_group_serves_two_event_loops_of_a_process(connected: Script) -> None:
    script = README.replace("WorkflowRunner,", "RuntimeGroup, WorkflowRunner,").replace(
        "builder(schema)", "builder(schema).runtime_group(group)"
    )
    script = script.replace("\n\nasync def", "\n\ngroup = RuntimeGroup.default()\n\nasync def", 1)
    done = connected.run(script + "\nasyncio.run(main())\n")
    assert done.stdout.split("\n")[:2] == [DONE, DONE]
    assert has_ended_clean(done)


def test_a_script_that_does_not_wait_for_its_run_ends_at_once_and_clean(connected: Script) -> None:
    script = README.replace("app.yml", "slow.yml").replace("handle.wait()", "handle.status()")
    done = connected.run(script)
    assert done.stdout.strip() == "Running()"
    assert has_ended_clean(done)


def test_an_error_of_the_script_is_its_own(connected: Script) -> None:
    done = connected.run(README.replace("print(", "raise ValueError('mine', "))
    assert done.returncode == 1
    assert done.stderr.strip().endswith("exceptions=0))")
    assert "Task was destroyed" not in done.stderr


@pytest.mark.slow
def test_every_end_of_ten_is_a_clean_one(connected: Script) -> None:
    """The SDK's threads may abort an interpreter that ends right after its loop."""
    with ThreadPoolExecutor(2) as threads:
        ends = list(threads.map(connected.run, [README] * 10))
    assert [end.stderr for end in ends if not has_ended_clean(end)] == []
