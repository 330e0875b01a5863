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


def test_the_exports_are_there(shared: Path) -> None:
    assert len(list((shared / "dify" / "apps").glob("*.yml"))) == 45
