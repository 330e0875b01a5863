"""What one workflow costs before it runs: load, validate and compile, cold and known already.

The file is the largest valid Dify export of a folder. Run with
``python benchmarks/loading.py FOLDER``; figures are medians in milliseconds. ``cold`` is a process
that has never seen the workflow, its modules loaded; ``again`` parses the file and finds the rest
by the schema's hash; ``cached`` is what a worker pays for a run of a workflow that it knows.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from xworkflow.domain.loading import load
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.engine.cache import PlanCache
from xworkflow.engine.compile import CompileOptions
from xworkflow.engine.validation import validate, validated
from xworkflow.errors import DslError
from xworkflow.nodes.registry import NodeRegistry

COLD_AIM_MS, CACHED_AIM_MS = 50.0, 1.0
OPTIONS = CompileOptions()


def largest_valid(folder: Path) -> Path:
    """The largest export below a folder that validation accepts."""
    files = sorted(folder.rglob("*.yml"), key=lambda path: path.stat().st_size, reverse=True)
    found = next((path for path in files if _is_valid(path)), None)
    if found is None:
        raise SystemExit(f"no valid export below {folder}")
    return found


def _is_valid(path: Path) -> bool:
    try:
        return not validated(_loaded(path.read_bytes())).errors
    except DslError:
        return False


def _loaded(content: bytes) -> WorkflowSchema:
    return load(content, "yaml")


def median_ms(work: Callable[[], object], rounds: int) -> float:
    times: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def measure(path: Path, rounds: int) -> None:
    content = path.read_bytes()
    schema = _loaded(content)
    canonical, types = schema.text, NodeRegistry.builtin()
    known = PlanCache(types)
    kept = known.get(canonical, OPTIONS)

    def cold() -> None:
        fresh = _loaded(content)
        validate(fresh)
        PlanCache(types).get(fresh.text, OPTIONS)

    def again() -> None:
        found = _loaded(content)
        validated(found)
        known.get(found.text, OPTIONS)

    def cached() -> None:
        validated(schema)
        assert known.get(canonical, OPTIONS) is kept  # noqa: S101 - else nothing is measured

    print(f"{path.name}: {len(content)} bytes, {len(schema.nodes)} nodes")
    print(f"load     {median_ms(lambda: _loaded(content), rounds):8.2f}")
    print(f"validate {median_ms(lambda: validate(schema), rounds):8.2f}")
    print(f"compile  {median_ms(lambda: PlanCache(types).get(canonical, OPTIONS), rounds):8.2f}")
    print(f"cold     {median_ms(cold, rounds):8.2f} (aim ≤ {COLD_AIM_MS:g})")
    print(f"again    {median_ms(again, rounds):8.2f}")
    print(f"cached   {median_ms(cached, rounds):8.2f} (aim ≤ {CACHED_AIM_MS:g})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    measure(largest_valid(options.folder), options.rounds)
