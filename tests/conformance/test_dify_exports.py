"""Real exports: validation never crashes, and says of each what is not supported yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from xworkflow.cli.validate import report_of

pytestmark = pytest.mark.conformance

DIFY = Path(__file__).resolve().parents[3] / "shared" / "dify"
EXPORTS = sorted(DIFY.rglob("*.yml")) if DIFY.is_dir() else []


@pytest.mark.parametrize("path", EXPORTS, ids=lambda path: path.stem)
def test_a_real_export_is_valid_or_names_exactly_what_is_not_supported(path: Path) -> None:
    report = report_of(path)
    unexpected = [found for found in report.errors if found.code != "E050"]
    assert unexpected == []
    assert all(found.node_id and "not supported" in found.message for found in report.errors)
    assert not any("'iteration" in e.message or "'loop" in e.message for e in report.errors)


def test_unsupported_nodes_in_the_bodies_of_iterations_are_named() -> None:
    if not EXPORTS:
        pytest.skip("the exports are not here")
    (path,) = (path for path in EXPORTS if path.stem == "json_translate")
    assert [found.node_id for found in report_of(path).errors] == ["1731659570395"]


def test_the_exports_are_there(shared: Path) -> None:
    assert len(list((shared / "dify" / "apps").glob("*.yml"))) == 45
