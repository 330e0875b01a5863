"""The shapes of runs that have golden histories: one graph for each way through the shell.

A shape that ever shipped keeps its history; a new one is added here and recorded with
``make record-history NAME=…``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.histories.container_shapes import ACTS, DRAWN, ITEMS, OPTIONS, Act
from tests.workflows.drawing import (
    FAIL_BRANCH,
    SPIN,
    chain,
    choice,
    code,
    end,
    first_of,
    graph,
    handler,
    http,
    node,
    retries,
    start,
    text,
)
from xworkflow.domain.governing import Budget, UsageQuota
from xworkflow.domain.loading import load
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.wire import MockNode
from xworkflow.testing.mock_server import MockResponse

ORDERS = Path(__file__).resolve().parents[2] / "examples" / "orders.yml"
ORDER = json.dumps({"customer": "Ada", "lines": [{"name": "gears", "price": 12.5, "count": 12}]})
SLOW_SECS = 3600.0

WEB = (
    MockResponse("GET", "/ok", response_body="fine"),
    MockResponse("GET", "/twice", response_status=500, response_body="busy"),
    MockResponse("GET", "/twice", response_body="fine"),
    MockResponse("GET", "/never", response_status=500, response_body="broken"),
    MockResponse("GET", "/slow", delay_secs=SLOW_SECS),
    MockResponse("GET", "/late", response_body="fine", delay_secs=0.3),
    MockResponse("GET", "/orders/4711", response_status=503, response_body="busy"),
    MockResponse("GET", "/orders/4711", response_body=ORDER),
    MockResponse("GET", "/weather?city=Oslo", response_body="snow"),
)


@dataclass(frozen=True)
class Shape:
    """What is run. ``url`` is the address of a server that answers as ``WEB`` says."""

    draw: Callable[[str], WorkflowSchema]
    inputs: Callable[[str], dict[str, Any]] = lambda _url: {"n": 1}
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    mocks: dict[str, MockNode] = field(default_factory=dict[str, MockNode])
    group_id: str | None = None
    stop_at: str | None = None
    """The node whose start is waited for, before the run is stopped."""
    fork_from: str | None = None
    """The node that a fork of the run begins with; then the history is the fork's."""
    usage_quota: UsageQuota | None = None
    queued: bool = False
    """Whether another run has the only place when it starts."""
    answer: dict[str, Any] | None = None
    """What a person answers."""
    act: Act | None = None
    """What is said to the run while it goes on."""
    debug: bool = False


def _fails(url: str, id_: str = "call", **parts: Any) -> Any:
    return http(id_, f"{url}/never", fail_on_error_status=True, **parts)


SHAPES: dict[str, Shape] = {
    "inline_chain": Shape(
        lambda _: chain(
            "inline", start("n"), text("t", "{{ v }}!", of="start.n"), end(out="t.output")
        )
    ),
    "branch_and_join": Shape(
        lambda _: graph(
            "branches",
            [
                start("n"),
                choice("pick", "start.n", "1"),
                text("yes", "y"),
                text("no", "n"),
                first_of("join", "yes.output", "no.output"),
                end(out="join.output"),
            ],
            "start > pick",
            "pick:yes > yes",
            "pick:false > no",
            "yes > join",
            "no > join",
            "join > end",
        )
    ),
    "code_region": Shape(
        lambda _: chain(
            "codes", start("n"), code("c1"), code("c2", "c1.n"), code("c3", "c2.n"), end(out="c3.n")
        )
    ),
    "region_handed_on": Shape(
        lambda _: chain("slow code", start("n"), code("spin", script=SPIN), end(out="spin.n"))
    ),
    "http": Shape(
        lambda url: chain("http", start("n"), http("call", f"{url}/ok"), end(out="call.body"))
    ),
    "http_with_retry_timer": Shape(
        lambda url: chain(
            "retry",
            start("n"),
            http("call", f"{url}/twice", fail_on_error_status=True, retry=retries(2, 50)),
            end(out="call.body"),
        )
    ),
    "fail_branch": Shape(
        lambda url: graph(
            "fail branch",
            [
                start("n"),
                _fails(url, strategy=FAIL_BRANCH),
                text("good", "good"),
                text("bad", "{{ v }}", of="call.error_message"),
                first_of("join", "good.output", "bad.output"),
                end(out="join.output"),
            ],
            "start > call",
            "call > good",
            "call:fail-branch > bad",
            "good > join",
            "bad > join",
            "join > end",
        )
    ),
    "failed": Shape(lambda url: chain("failed", start("n"), _fails(url), end(out="call.body"))),
    "error_handler_recovered": Shape(
        lambda url: chain(
            "recovered",
            start("n"),
            _fails(url),
            end(out="call.body"),
            handler=handler(
                "recover",
                start(),
                text("why", "{{ v }}", of="sys.error_type"),
                end(out="why.output"),
            ),
        )
    ),
    "cancelled": Shape(
        lambda url: chain(
            "cancelled", start("n"), http("call", f"{url}/slow"), end(out="call.body")
        ),
        stop_at="call",
    ),
    "continued_as_new": Shape(
        lambda url: chain(
            "long",
            start("n"),
            *(http(f"call{i}", f"{url}/ok") for i in range(8)),
            end(out="call7.body"),
        ),
        options={"continue_as_new_after_events": 30},
    ),
    "named_group": Shape(
        lambda _: chain("admitted", start("n"), code("c1"), code("c2", "c1.n"), end(out="c2.n")),
        group_id="golden",
    ),
    "governed": Shape(
        lambda url: chain("placed", start("n"), http("call", f"{url}/ok"), end(out="call.body")),
        group_id="governed",
        usage_quota=UsageQuota(concurrent_runs=10, http_calls=Budget(limit=100)),
    ),
    "governed_queued": Shape(
        lambda url: chain("queued", start("n"), http("call", f"{url}/ok"), end(out="call.body")),
        group_id="queued",
        usage_quota=UsageQuota(concurrent_runs=1, when_full="wait"),
        queued=True,
    ),
    "governed_waiting": Shape(
        lambda url: graph(
            "asks",
            [
                start("n"),
                node("ask", "human-input", resume_mode="approval", prompt_template="May I?"),
                http("call", f"{url}/ok"),
                code("c"),
                end(out="call.body", n="c.n"),
            ],
            "start > ask",
            "ask:approve > call",
            "ask:reject > end",
            "call > c",
            "c > end",
        ),
        group_id="waiting",
        usage_quota=UsageQuota(concurrent_runs=1, count_waiting=False),
        answer={"decision": "approve"},
    ),
    "mocked_nodes": Shape(
        lambda url: chain("mocked", start("n"), http("call", f"{url}/ok"), end(out="call.body")),
        mocks={"call": MockNode(outputs={"body": "mocked"})},
    ),
    "parallel_http_and_code": Shape(
        lambda url: graph(
            "side by side",
            [
                start("n"),
                http("call1", f"{url}/ok"),
                http("call2", f"{url}/ok"),
                code("c1"),
                first_of("join", "call1.body", "call2.body"),
                end(out="join.output", n="c1.n"),
            ],
            "start > call1",
            "start > call2",
            "start > c1",
            "call1 > join",
            "call2 > join",
            "c1 > join",
            "join > end",
        )
    ),
    "fork": Shape(
        lambda url: chain(
            "forked",
            start("n"),
            http("call1", f"{url}/ok"),
            code("c1"),
            http("call2", f"{url}/ok"),
            end(out="call2.body", n="c1.n", first="call1.body"),
        ),
        fork_from="c1",
    ),
    "dify_export": Shape(
        lambda _: load(ORDERS.read_bytes(), "yaml"),
        inputs=lambda url: {"order_id": "4711", "shop_url": url},
    ),
}

SHAPES.update(
    {
        name: Shape(
            draw,
            inputs=lambda _url: {"n": 1, "items": ITEMS},
            options=OPTIONS.get(name, {}),
            act=ACTS.get(name),
            debug=name == "debugged",
        )
        for name, draw in DRAWN.items()
    }
)
