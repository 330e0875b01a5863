"""What an attempt reports can be sent, and read at the other end, whatever its node gave."""

from __future__ import annotations

from typing import Any

import pytest

from tests.activities.attempts import Recorded, code, http, task
from xworkflow.activities.attempt import attempt
from xworkflow.activities.fitting import MAX_REPORT_BYTES, MAX_REPORT_DEPTH, fitting
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.wire import NodeReport, RegionNode, RegionReport
from xworkflow.errors import NodeFailure
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.mock_server import MockResponse, MockServer


def report_of(**parts: Any) -> NodeReport:
    return NodeReport(at=1, result=NodeRunResult(**parts))


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_what_fits_is_sent_as_it_is() -> None:
    report = report_of(inputs={"i": 1}, outputs={"o": "é" * 500_000}, metadata={"stdout": "x"})
    assert fitting("n", report) is report


def test_inputs_and_prints_give_way_to_outputs() -> None:
    part = "x" * 900_000
    sent = fitting("n", report_of(inputs={"i": part}, outputs={"o": part}, metadata={"m": part}))
    assert sent.result == NodeRunResult(outputs={"o": part})


@pytest.mark.parametrize("sign", ["x", "é", "\x01"])
def test_outputs_that_no_message_holds_fail_their_node(sign: str) -> None:
    sent = fitting("n", report_of(outputs={"o": sign * MAX_REPORT_BYTES}))
    assert sent.failure is not None
    assert sent.failure.code == "output_too_large"
    assert sent.failure.text.startswith("Output too large for node n (max 1769472 bytes, got ")
    assert not sent.failure.retryable


@pytest.mark.parametrize(
    "value",
    ["\ud800", {"\ud800": 1}, nested(MAX_REPORT_DEPTH), nested(600), object(), {1: object()}],
    ids=["half", "half key", "deep", "very deep", "object", "inner object"],
)
def test_what_cannot_be_written_or_read_again_fails_its_node(value: Any) -> None:
    sent = fitting("n", report_of(outputs={"o": value}))
    assert sent.failure is not None
    assert sent.failure.code == "execution_error"


def test_the_deepest_that_passes_can_be_read_inside_of_what_is_around_it() -> None:
    sent = fitting("n", report_of(outputs={"o": nested(MAX_REPORT_DEPTH - 2)}))
    assert sent.result is not None
    region = RegionReport(finished=(RegionNode(node=0, attempt=0, report=sent, lane=0),))
    assert RegionReport.model_validate_json(region.model_dump_json()) == region


def test_the_text_of_a_failure_is_cut() -> None:
    failure = NodeFailure.of_kind("config_error", "x" * 5_000_000)
    sent = fitting("n", NodeReport(at=1, failure=failure)).failure
    assert sent is not None
    assert (sent.code, len(sent.text)) == ("config_error", 65_536)


async def test_an_output_that_no_message_holds_is_audited_like_one_over_its_level() -> None:
    recorded = Recorded()
    group = RuntimeGroup(group_id="g", audit_logger=recorded)
    big = "function main() { return { a: 'x'.repeat(1e6), b: 1 } }"
    values = {("start", "v"): "x" * MAX_REPORT_BYTES}
    data = {"variables": [{"variable": "v", "value_selector": ["start", "v"]}], **code(big)}
    kept = await attempt(group, task("code", data, values))
    assert kept.result is not None
    assert kept.result.inputs == {}
    answer = MockResponse("GET", "/", response_body="x" * 2_000_000)
    with MockServer((answer,)) as server:
        failed = await attempt(group, task("http-request", http(f"{server.url}/")))
    assert failed.failure is not None
    assert failed.failure.code == "output_too_large"
    assert recorded.types == ["OutputSizeExceeded"]
    await group.aclose()
