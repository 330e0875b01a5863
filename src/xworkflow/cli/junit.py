"""A report of test cases in the JUnit format, as CI services read it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from xworkflow.testing.cases import Verdict

_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped."""


def write_junit(path: Path, verdicts: Sequence[Verdict]) -> None:
    """Write one suite with a case for each verdict."""
    suite = ET.Element(
        "testsuite",
        name="xworkflow",
        tests=str(len(verdicts)),
        failures=str(sum(v.outcome == "failed" for v in verdicts)),
        errors="0",
        skipped=str(sum(v.outcome == "skipped" for v in verdicts)),
        time=f"{sum(v.seconds for v in verdicts):.3f}",
    )
    for verdict in verdicts:
        _add_case(suite, verdict)
    ET.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)


def _add_case(suite: ET.Element, verdict: Verdict) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        name=_xml_text(verdict.name),
        classname="cases",
        time=f"{verdict.seconds:.3f}",
    )
    if verdict.outcome != "passed":
        tag = "failure" if verdict.outcome == "failed" else "skipped"
        problems = [_xml_text(problem) for problem in verdict.problems]
        ET.SubElement(case, tag, message="; ".join(problems)).text = "\n".join(problems)


def _xml_text(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)
