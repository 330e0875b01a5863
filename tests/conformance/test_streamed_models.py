"""Native drawings whose model streams: what each kind of node makes of it (spec/graph.md 3.3)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from tests.workflows.drawing import chained, end, node, start
from xworkflow.domain.schema import NodeSpec
from xworkflow.testing.cases import Verdict
from xworkflow.testing.run import run_folders

pytestmark = [pytest.mark.temporal, pytest.mark.conformance]

PIECES = ("abc", "def", "")
STREAM = "".join(
    f"data: {json.dumps({'choices': [{'delta': {'content': piece}}]})}\n\n" for piece in PIECES
)
DONE = 'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


async def verdict(
    folder: Path, client: Client, *nodes: NodeSpec, body: str = STREAM + DONE, **expected: str
) -> Verdict:
    """The verdict of a chain that begins with the model."""
    prompt = [{"role": "user", "text": "hi"}]
    model = {"provider": "openai", "name": "m"}
    llm = node("llm", "llm", model=model, stream=True, prompt_template=prompt)
    drawn = (start(), llm, *nodes)
    edges = [{"source": edge.source, "target": edge.target} for edge in chained(drawn)]
    workflow: dict[str, Any] = {
        "version": "0.1.0",
        "nodes": [{"id": n.id, "data": n.data} for n in drawn],
        "edges": edges,
    }
    (folder / "workflow.yml").write_text(json.dumps(workflow))
    (folder / "state.toml").write_text(
        f"""
[llm_providers.openai]
api_key = "k"
[[mock_server]]
method = "POST"
path = "/v1/chat/completions"
match_body = '"stream":true'
response_body = {json.dumps(body)}
[mock_server.response_headers]
content-type = "text/event-stream"
[[mock_server]]
method = "GET"
path = "/search?q=abcdef"
response_body = "found"
"""
    )
    out = [f"{name} = {json.dumps(value)}" for name, value in expected.items() if name != "error"]
    status = "failed" if "error" in expected else "completed"
    error = f"error_contains = {json.dumps(expected['error'])}" if "error" in expected else ""
    (folder / "out.toml").write_text("\n".join([f'status = "{status}"', error, "[outputs]", *out]))
    (found,) = await run_folders([folder], client)
    return found


def script(body: str) -> NodeSpec:
    bound = [{"variable": "text", "value_selector": ["llm", "text"]}]
    return node("code", "code", code=f"function main(inputs) {{ {body} }}", variables=bound)


def template(text: str, of: str) -> NodeSpec:
    bound = [{"variable": "v", "value_selector": of.split(".")}]
    return node("template", "template-transform", template=text, variables=bound)


async def test_a_script_without_callbacks_gets_the_whole_text(
    temporal_client: Client, tmp_path: Path
) -> None:
    nodes = (script("return inputs.text.length + inputs.text"), end(out="code.result"))
    found = await verdict(tmp_path, temporal_client, *nodes, out="6abcdef")
    assert found.outcome == "passed", found.problems


async def test_what_callbacks_give_can_be_printed(temporal_client: Client, tmp_path: Path) -> None:
    listen = "let all = ''; inputs.text.on_chunk((c) => all += c.toUpperCase()); return ''"
    nodes = (script(listen), template("<{{ v }}>", "code.output"), end(out="template.output"))
    found = await verdict(tmp_path, temporal_client, *nodes, out="<ABCDEF>")
    assert found.outcome == "passed", found.problems


async def test_callbacks_can_count_pieces(temporal_client: Client, tmp_path: Path) -> None:
    listen = "let n = 0; inputs.text.on_chunk(() => `${++n}`).on_end((all) => `${n}:${all}`)"
    nodes = (script(listen), end(out="code.output"))
    found = await verdict(tmp_path, temporal_client, *nodes, out="4:abcdef")
    assert found.outcome == "passed", found.problems


async def test_a_streamed_text_can_stand_in_a_url(temporal_client: Client, tmp_path: Path) -> None:
    url = "{{#sys.base_url#}}/search?q={{#llm.text#}}"
    nodes = (node("http", "http-request", method="GET", url=url), end(out="http.body"))
    found = await verdict(tmp_path, temporal_client, *nodes, out="found")
    assert found.outcome == "passed", found.problems


async def test_a_stream_that_ends_too_early_fails_its_node(
    temporal_client: Client, tmp_path: Path
) -> None:
    found = await verdict(
        tmp_path,
        temporal_client,
        end(out="llm.text"),
        body=STREAM,
        error="Network error: the stream ended before the answer did",
    )
    assert found.outcome == "passed", found.problems
