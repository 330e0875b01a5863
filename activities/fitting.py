"""What an attempt reports must fit a message of Temporal, and be read again at its other end.

The server takes payloads of 2 MB. A larger one of a local region ends the whole run, one of more
than 4 MB is not sent at all, so that the run waits for ever while its node is done again and again;
and what is nested deeper than readers of JSON go fails the workflow's task each time.
"""

from __future__ import annotations

from typing import Final

from pydantic_core import PydanticSerializationError

from xworkflow.domain.foreign_json import depth_of
from xworkflow.domain.packing import PAYLOAD_BYTES
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.security_limits import OUTPUT_TOO_LARGE
from xworkflow.domain.wire import NodeReport
from xworkflow.errors import NodeFailure

MAX_REPORT_BYTES: Final = PAYLOAD_BYTES - 320 * 1024
"""A region's report has up to 256 KiB of other nodes beside this one."""
MAX_REPORT_DEPTH: Final = 150
"""Of outputs. Readers go 200 deep, and the messages around them are some 20."""
_LONGEST_TEXT: Final = 64 * 1024


def fitting(node_id: str, report: NodeReport) -> NodeReport:
    """The report, without what is only for people where that is too large; or the failure that its
    result cannot be sent: ``output_too_large``, ``execution_error``."""
    if report.result is None:
        return _told(report)
    size = _size(report)
    if size is not None and size > MAX_REPORT_BYTES:
        report = _bare(report, report.result)
        size = _size(report)
    if size is None:
        problem = "the result holds what JSON cannot, or is nested too deeply"
        return _failed(report, NodeFailure.of_kind("execution_error", problem))
    if size > MAX_REPORT_BYTES:
        return _failed(report, _too_large(node_id, size))
    return report


def _too_large(node_id: str, size: int) -> NodeFailure:
    limit = MAX_REPORT_BYTES
    return NodeFailure(
        code=OUTPUT_TOO_LARGE,
        text=f"Output too large for node {node_id} (max {limit} bytes, got {size} bytes)",
        metadata={"max": limit, "actual": size},
    )


def _size(report: NodeReport) -> int | None:
    """Bytes of the report as JSON; None where it cannot be written, or not be read again."""
    try:
        text = report.model_dump_json()
    except (PydanticSerializationError, ValueError):
        return None
    brackets = text.count("[") + text.count("{")
    if brackets > MAX_REPORT_DEPTH and report.result is not None:
        parts = [report.result.outputs, report.result.metadata, report.result.inputs]
        if depth_of(parts) > MAX_REPORT_DEPTH:
            return None
    return len(text) if text.isascii() else len(text.encode())


def _bare(report: NodeReport, result: NodeRunResult) -> NodeReport:
    return report.model_copy(
        update={"result": result.model_copy(update={"inputs": {}, "metadata": {}})}
    )


def _told(report: NodeReport) -> NodeReport:
    failure = report.failure
    if failure is None or len(failure.text) <= _LONGEST_TEXT:
        return report
    return _failed(report, failure.model_copy(update={"text": failure.text[:_LONGEST_TEXT]}))


def _failed(report: NodeReport, failure: NodeFailure) -> NodeReport:
    return NodeReport(at=report.at, failure=failure)
