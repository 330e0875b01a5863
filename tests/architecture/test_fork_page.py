"""The page of forks explains every reason against one."""

from __future__ import annotations

import re
from pathlib import Path

from xworkflow.engine.forking import FORCIBLE

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r"F0\d\d")
ROW = re.compile(r"^\| (F0\d\d)( †)? \|", re.MULTILINE)


def test_every_code_of_the_engine_has_a_row_that_says_whether_it_can_be_forced() -> None:
    sources = ("forking.py", "graph_changes.py", "run_changes.py")
    engine = ROOT / "src" / "xworkflow" / "engine"
    named = {code for name in sources for code in CODE.findall((engine / name).read_text())}
    rows = dict(ROW.findall((ROOT / "docs" / "fork.md").read_text()))
    assert named == set(rows)
    assert {code for code, mark in rows.items() if mark} == FORCIBLE
