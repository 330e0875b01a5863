"""Runs exports of Dify on a real server, their models asked of a mock server.

Models are asked for real, over HTTP, under the ids that the exports name. A run may mock further
nodes by their ids, those in bodies included.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter
from temporalio.client import Client

from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.status import ExecutionStatus
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.loading import load
from xworkflow.domain.schema import NodeSpec, SubGraph, WorkflowSchema
from xworkflow.domain.wire import MockNode
from xworkflow.nodes.start import StartVariable, start_variables
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.runtime_group.llm_openai import OpenAiConfig, OpenAiProvider
from xworkflow.runtime_group.llm_registry import LlmProviderRegistry
from xworkflow.testing.mock_server import MockResponse, MockServer
from xworkflow.worker import build_worker

APPS: Final = Path(__file__).resolve().parents[3] / "shared" / "dify" / "apps"
FILE: Final = {
    "type": "document",
    "transfer_method": "remote_url",
    "url": "https://files.example/a.csv",
    "filename": "a.csv",
    "size": 12,
}
SERVER: Final = "http://server.example"
"""Stands in inputs and mocked outputs for the address of the mock server."""

_MOCKS: Final = TypeAdapter(dict[str, MockNode])

Check = Callable[[Mapping[str, Any]], bool]


def is_output(name: str, wanted: object) -> Check:
    return lambda outputs: outputs == {name: wanted}


def holds(name: str, *texts: str) -> Check:
    return lambda outputs: all(text in outputs[name] for text in texts)


def outputs(**values: Any) -> MockNode:
    return MockNode(outputs=values)


@dataclass(frozen=True)
class App:
    """One run of an export: ``replies`` are (what a request must hold, the model's answer)."""

    file: str
    check: Check
    folder: Path = APPS
    replies: tuple[tuple[str, str], ...] = ((".", "the model's text"),)
    query: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    conversation: Mapping[str, Any] = field(default_factory=dict[str, Any])
    system: Mapping[str, Any] = field(default_factory=dict[str, Any])
    mocks: Mapping[str, MockNode] = field(default_factory=dict[str, MockNode])
    pages: tuple[MockResponse, ...] = ()
    """What the mock server has besides the model."""
    asked: tuple[str, ...] = ()
    """Texts that the model must have been sent."""
    exceptions: int = 0


@dataclass(frozen=True)
class Ran:
    """A run that is over, with its whole log."""

    status: ExecutionStatus
    events: tuple[GraphEngineEvent, ...]
    execution_id: str = ""


def drawn(name: str, folder: Path = APPS) -> WorkflowSchema:
    return load((folder / f"{name}.yml").read_bytes(), "yaml", name=name)


def nodes_of(nodes: tuple[NodeSpec, ...]) -> Iterator[NodeSpec]:
    """All of a graph and of the bodies in it."""
    for node in nodes:
        yield node
        if "sub_graph" in node.data:
            yield from nodes_of(SubGraph.model_validate(node.data["sub_graph"]).nodes)


def made_up(variable: StartVariable) -> Any:
    """An input of the declared type."""
    values: dict[str, Any] = {
        "number": 1,
        "checkbox": True,
        "file": FILE,
        "file-list": [FILE],
        "json_object": {"key": "value"},
        "select": (variable.options or ("",))[0],
    }
    return values.get(variable.type, f"text of {variable.variable}")


def completion(text: str) -> str:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    return json.dumps({"model": "m", "choices": [choice], "usage": usage})


def model_server(app: App) -> MockServer:
    """Answers each request with the first reply whose pattern is found in it, however often."""
    path = "/v1/chat/completions"
    answers = (
        MockResponse("POST", path, match_body=pattern, response_body=completion(reply), expect=100)
        for pattern, reply in app.replies
    )
    return MockServer((*answers, *app.pages))


def providers(schema: WorkflowSchema, url: str) -> LlmProviderRegistry:
    """A provider for every id that the export's models are drawn with."""
    registry = LlmProviderRegistry()
    config = OpenAiConfig(api_key="k", base_url=f"{url}/v1")
    for node in nodes_of(schema.nodes):
        if node.type in ("llm", "question-classifier"):
            registry.register(OpenAiProvider(config, provider_id=node.data["model"]["provider"]))
    return registry


@dataclass(frozen=True)
class Place:
    """Where exports run: a server, and the group that their workers serve."""

    client: Client
    group: RuntimeGroup

    async def run(
        self,
        app: App,
        server: MockServer,
        queue: str,
        *,
        mocks: Mapping[str, MockNode] | None = None,
    ) -> Ran:
        """``mocks`` take the place of the app's own."""
        schema = drawn(app.file, app.folder)
        group = self.group.replaced(llm_provider_registry=providers(schema, server.url))
        mocked = app.mocks if mocks is None else mocks
        made = {v.variable: made_up(v) for v in start_variables(schema)}
        given = _addressed({**made, **app.inputs}, server.url)
        builder = WorkflowRunner.builder(schema).user_inputs(given)
        builder.system_vars({"query": app.query, "files": [], **app.system})
        answers = {k: mock.model_dump() for k, mock in mocked.items()}
        builder.mock_nodes(_MOCKS.validate_python(_addressed(answers, server.url)))
        builder.conversation_vars(app.conversation).client(self.client, task_queue=queue)
        async with build_worker(self.client, group, queue=queue):
            handle = await builder.run()
            status = await handle.wait()
            events = tuple([event async for event in handle.events()])
            return Ran(status, events, handle.execution_id)


def _addressed(values: Mapping[str, Any], url: str) -> dict[str, Any]:
    return json.loads(json.dumps(values).replace(SERVER, url))
