"""What a model says reaches readers while it is said, each piece once, whatever happens."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from tests.workflows.bench import history
from tests.workflows.drawing import chained, end, graph, node, start
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.status import Completed
from xworkflow.context import WorkflowContext
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.schema import RetryConfig, WorkflowSchema
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.runtime_group.llm_openai import OpenAiConfig, OpenAiProvider
from xworkflow.runtime_group.llm_registry import LlmProviderRegistry
from xworkflow.store import SqlStreamStore
from xworkflow.testing.mock_server import MockResponse, MockServer
from xworkflow.worker import build_worker

pytestmark = pytest.mark.temporal

PIECES = [f"word{number} " for number in range(40)]
WHOLE = "".join(PIECES)


def sse(pieces: list[str]) -> str:
    said: list[dict[str, Any]] = [{"choices": [{"delta": {"content": piece}}]} for piece in pieces]
    said.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    return "".join(f"data: {json.dumps(part)}\n\n" for part in said) + "data: [DONE]\n\n"


def model(**how: float) -> MockResponse:
    return MockResponse(
        "POST", "/v1/chat/completions", response_headers={"content-type": "text/event-stream"},
        response_body=sse(PIECES), **how,  # pyright: ignore[reportArgumentType]
    )  # fmt: skip


def drawing(retry: RetryConfig | None = None) -> WorkflowSchema:
    prompt = [{"role": "user", "text": "hi"}]
    asked = {"provider": "openai", "name": "m"}
    llm = node("llm", "llm", retry=retry, model=asked, stream=True, prompt_template=prompt)
    nodes = (start(), llm, end(o="llm.text"))
    return WorkflowSchema(name="live", nodes=nodes, edges=tuple(chained(nodes)))


class Place:
    """A worker whose models speak slowly, and a store that readers share with it."""

    def __init__(self, client: Client, queue: str, store: SqlStreamStore, url: str) -> None:
        registry = LlmProviderRegistry()
        registry.register(OpenAiProvider(OpenAiConfig(api_key="k", base_url=f"{url}/v1")))
        self.client, self.queue, self.store = client, queue, store
        self.group = RuntimeGroup(llm_provider_registry=registry, stream_store=store)

    @asynccontextmanager
    async def worker(self) -> AsyncGenerator[None]:
        async with build_worker(self.client, self.group, queue=self.queue):
            yield

    async def start(self, schema: WorkflowSchema) -> WorkflowHandle:
        builder = WorkflowRunner.builder(schema).context(WorkflowContext.new(self.group))
        builder.options(stream=True)
        return await builder.client(self.client, task_queue=self.queue).run()


@asynccontextmanager
async def place(client: Client, queue: str, folder: Path, url: str) -> AsyncGenerator[Place]:
    made = Place(client, queue, SqlStreamStore.of_file(folder / "streams.db"), url)
    try:
        yield made
    finally:
        await made.group.aclose()


def told(events: list[GraphEngineEvent]) -> list[str]:
    """Without the empty piece with which a model ends."""
    chunks = [e.data["chunk"] for e in events if e.type == "node_run_stream_chunk"]
    return [chunk for chunk in chunks if chunk]


async def test_pieces_come_while_they_are_said_and_once(
    temporal_client: Client, task_queue: str, tmp_path: Path
) -> None:
    with MockServer((model(event_delay_secs=0.02),)) as server:
        async with place(temporal_client, task_queue, tmp_path, server.url) as at, at.worker():
            handle = await at.start(drawing())
            events: list[GraphEngineEvent] = []
            early = 0
            async for event in handle.events(live=at.store):
                events.append(event)
                if event.type == "node_run_stream_chunk":
                    early += not isinstance(await _ended(handle), Completed)
            assert await handle.wait() == Completed({"o": WHOLE})
    assert told(events) == PIECES
    assert early > len(PIECES) // 2, "most pieces came before the node had ended"


async def test_every_cursor_of_a_live_reader_leads_to_the_rest(
    temporal_client: Client, task_queue: str, tmp_path: Path
) -> None:
    """Also where the rest is read from the history alone, in another place of the log."""
    with MockServer((model(event_delay_secs=0.002),)) as server:
        async with place(temporal_client, task_queue, tmp_path, server.url) as at, at.worker():
            handle = await at.start(drawing())
            live = [event async for event in handle.events(live=at.store)]
            for seen in range(len(live) + 1):
                cursor = live[seen - 1].cursor if seen else ""
                rest = [event async for event in handle.events(after=cursor)]
                both = live[:seen] + rest
                assert told(both) == PIECES, seen
                numbered = [e for e in both if e.type != "node_run_stream_chunk"]
                assert [e.seq for e in numbered] == list(range(len(numbered)))


async def test_a_call_costs_the_history_ten_events_whatever_it_says(
    temporal_client: Client, task_queue: str, tmp_path: Path
) -> None:
    with MockServer((model(),)) as server:
        async with place(temporal_client, task_queue, tmp_path, server.url) as at, at.worker():
            handle = await at.start(drawing())
            await handle.wait()
            events = await history(handle, temporal_client)
    assert len(events) - 5 <= 10, "a run of nothing has five events"


async def test_a_model_that_is_asked_again_replaces_what_it_said(
    temporal_client: Client, task_queue: str, tmp_path: Path
) -> None:
    """The connection breaks in the middle of an answer: what is said then is what counts."""
    broken = model(event_delay_secs=0.05, cut_after_events=10, expect=1)
    with MockServer((broken, model(event_delay_secs=0.005))) as server:
        async with place(temporal_client, task_queue, tmp_path, server.url) as at, at.worker():
            retry = RetryConfig(max_retries=1, retry_interval=1)
            handle = await at.start(drawing(retry=retry))
            shown: list[str] = []
            replaced = 0
            async for event in handle.events(live=at.store):
                if event.type == "node_run_stream_chunk":
                    shown.append(event.data["chunk"])
                elif event.type == "node_run_stream_replaced":
                    assert 0 < len(shown) <= 10
                    replaced += 1
                    shown.clear()
            assert await handle.wait() == Completed({"o": WHOLE})
    assert replaced == 1
    assert [piece for piece in shown if piece] == PIECES


def chat() -> WorkflowSchema:
    """Two models side by side, an answer behind each."""
    asked = {"provider": "openai", "name": "m"}
    nodes = [start()]
    for name in ("slow", "quick"):
        prompt = [{"role": "user", "text": name}]
        nodes.append(node(name, "llm", model=asked, stream=True, prompt_template=prompt))
        nodes.append(node(f"by_{name}", "answer", answer=f"{name}: {{{{#{name}.text#}}}}."))
    drawn = [f"start > {name}" for name in ("slow", "quick")]
    drawn += [f"{name} > by_{name}" for name in ("slow", "quick")]
    return graph("chat", nodes, *drawn).model_copy(update={"dialect": "dify"})


async def test_answers_side_by_side_are_stored_as_live_and_later_readers_see_them(
    temporal_client: Client, task_queue: str, tmp_path: Path
) -> None:
    """The model whose answer comes second is done long before the first one."""
    slow, quick = model(event_delay_secs=0.02), model()
    models = (replace(slow, match_body='"slow"'), replace(quick, match_body='"quick"'))
    with MockServer(models) as server:
        async with place(temporal_client, task_queue, tmp_path, server.url) as at, at.worker():
            handle = await at.start(chat())
            live = [event async for event in handle.events(live=at.store)]
            ended = await handle.wait()
            later = [event async for event in handle.events()]
    wanted = f"slow: {WHOLE}.quick: {WHOLE}."
    assert ended == Completed({"answer": wanted})
    assert "".join(told(live)) == "".join(told(later)) == wanted
    names = [e.data["node_id"] for e in live if e.type == "node_run_succeeded"]
    assert names.index("by_quick") < names.index("by_slow")


async def _ended(handle: WorkflowHandle) -> object:
    return await handle.status()
