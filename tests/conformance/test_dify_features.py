"""What exports of Dify are drawn with, one feature at a time, each run on a real server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio
import yaml

from xworkflow.client.connection import connect
from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.status import Completed, ExecutionStatus
from xworkflow.domain.loading import load
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.runtime_group.llm_openai import OpenAiConfig, OpenAiProvider
from xworkflow.runtime_group.llm_registry import LlmProviderRegistry
from xworkflow.testing.mock_server import MockResponse, MockServer, ReceivedRequest
from xworkflow.worker import build_worker

pytestmark = [pytest.mark.temporal, pytest.mark.conformance]

QUEUE = "dify-features"
Node = dict[str, Any]
IMAGE = {
    "type": "image",
    "transfer_method": "remote_url",
    "url": "http://h/a.png",
    "filename": "a.png",
}
PDF = {
    "type": "document",
    "transfer_method": "remote_url",
    "url": "http://h/b.pdf",
    "filename": "b.pdf",
}
COMPLETION = {
    "model": "m",
    "choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}
MOCKS = (
    MockResponse("POST", "/v1/chat/completions", response_body=json.dumps(COMPLETION)),
    MockResponse("POST", "/echo", response_body='{"ok": true}'),
    MockResponse("GET", "/search?q=two%20words&n=3", response_body="found"),
    MockResponse("GET", "/broken", response_status=500, response_body="no"),
)


@dataclass(frozen=True)
class Drawing:
    """Nodes between a start and an end, one after the other unless ``edges`` says otherwise.

    An edge is ``source>target`` or ``source:handle>target``.
    """

    nodes: tuple[Node, ...]
    outputs: Mapping[str, str]
    variables: tuple[Node, ...] = ()
    edges: str = ""
    environment: tuple[Node, ...] = ()
    conversation: tuple[Node, ...] = ()

    def text(self) -> str:
        end = [{"variable": k, "value_selector": v.split(".")} for k, v in self.outputs.items()]
        nodes = [
            {"id": "start", "type": "start", "variables": list(self.variables)},
            *self.nodes,
            {"id": "end", "type": "end", "outputs": end},
        ]
        chain = " ".join(f"{a['id']}>{b['id']}" for a, b in pairwise(nodes))
        workflow = {
            "graph": {
                "nodes": [{"id": n["id"], "data": {"title": n["id"], **n}} for n in nodes],
                "edges": [_edge(text) for text in (self.edges or chain).split()],
            },
            "environment_variables": list(self.environment),
            "conversation_variables": list(self.conversation),
        }
        app = {"name": "t", "mode": "workflow"}
        return yaml.safe_dump({"kind": "app", "version": "0.6.0", "app": app, "workflow": workflow})


def _edge(text: str) -> Node:
    source, _, target = text.partition(">")
    node, _, handle = source.partition(":")
    return {"id": text, "source": node, "sourceHandle": handle or "source", "target": target}


@dataclass(frozen=True)
class Given:
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    query: str = ""
    files: tuple[Any, ...] = ()


@dataclass
class Place:
    """A worker that knows one model, and the server that the model and all targets are on."""

    address: str
    server: MockServer

    async def run(self, drawing: Drawing, given: Given) -> ExecutionStatus:
        client = await connect(self.address)
        system = {"query": given.query, "files": list(given.files), "base": self.server.url}
        builder = WorkflowRunner.builder(load(drawing.text(), "yaml"))
        builder.user_inputs(given.inputs).system_vars(system).client(client, task_queue=QUEUE)
        return await (await builder.run()).wait()

    async def outputs(self, drawing: Drawing, given: Given | None = None) -> Any:
        status = await self.run(drawing, given or Given())
        assert isinstance(status, Completed), status
        return status.outputs

    async def sent(self, drawing: Drawing, given: Given | None = None) -> ReceivedRequest:
        """The last request of a run."""
        await self.outputs(drawing, given)
        return self.server.requests[-1]

    async def messages(self, drawing: Drawing, given: Given | None = None) -> Any:
        return json.loads((await self.sent(drawing, given)).body)["messages"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(temporal_server: str) -> AsyncIterator[Place]:
    with MockServer(MOCKS) as server:
        registry = LlmProviderRegistry()
        registry.register(OpenAiProvider(OpenAiConfig(api_key="k", base_url=f"{server.url}/v1")))
        group = RuntimeGroup.default().replaced(llm_provider_registry=registry)
        try:
            client = await connect(temporal_server)
            async with build_worker(client, group, queue=QUEUE):
                yield Place(temporal_server, server)
        finally:
            await group.aclose()


def model(prompt: Any, **others: Any) -> Node:
    drawn: Node = {"provider": "langgenius/openai/openai", "name": "m", "completion_params": {}}
    return {"id": "llm", "type": "llm", "model": drawn, "prompt_template": prompt, **others}


def python(code: str, outputs: Mapping[str, Any], **variables: str) -> Node:
    return {
        "id": "code",
        "type": "code",
        "code_language": "python3",
        "code": code,
        "outputs": outputs,
        "variables": [
            {"variable": k, "value_selector": v.split(".")} for k, v in variables.items()
        ],
    }


def template(node_id: str, text: str, **variables: str) -> Node:
    bound = [{"variable": k, "value_selector": v.split(".")} for k, v in variables.items()]
    return {"id": node_id, "type": "template-transform", "template": text, "variables": bound}


def request(**data: Any) -> Node:
    plain = {"method": "post", "url": "{{#sys.base#}}/echo", "authorization": {"type": "no-auth"}}
    return {"id": "http", "type": "http-request", "headers": "", "params": "", **plain, **data}


def branch(*conditions: Node, operator: str = "and") -> Node:
    case = {"case_id": "true", "logical_operator": operator, "conditions": list(conditions)}
    return {"id": "if", "type": "if-else", "cases": [case]}


def condition(selector: str, operator: str, value: Any = "", **others: Any) -> Node:
    where = {"variable_selector": selector.split("."), "comparison_operator": operator}
    return {"id": selector, "value": value, **where, **others}


def decided(node: Node, **others: Any) -> Drawing:
    """A branch, and the two words that it may come to."""
    return Drawing(
        (
            node,
            template("yes", "yes"),
            template("no", "no"),
            {
                "id": "word",
                "type": "variable-aggregator",
                "output_type": "string",
                "variables": [["yes", "output"], ["no", "output"]],
            },
        ),
        {"word": "word.output"},
        edges="start>if if:true>yes if:false>no yes>word no>word word>end",
        **others,
    )


in_module_loop = pytest.mark.asyncio(loop_scope="module")


@in_module_loop
@pytest.mark.parametrize(
    ("node", "given", "word"),
    [
        (branch(condition("start.n", "≥", "18", varType="number")), {"n": "18"}, "yes"),
        (branch(condition("start.n", ">", "9", varType="number")), {"n": 10}, "yes"),
        (branch(condition("start.n", "=", "3.0", varType="number")), {"n": 3}, "yes"),
        (branch(condition("start.t", "is", "{{#env.word#}}")), {"t": "open"}, "yes"),
        (branch(condition("start.t", "in", ["open", "shut"])), {"t": "shut"}, "yes"),
        (branch(condition("start.t", "is empty")), {"t": ""}, "yes"),
        (branch(condition("start.t", "not empty")), {}, "no"),
        (branch(condition("start.t", "exists")), {}, "no"),
        (branch(condition("start.t", "contains", "pe")), {"t": "open"}, "yes"),
        (branch(condition("start.b", "is", "true", varType="boolean")), {"b": True}, "yes"),
        (branch(condition("start.b", "is", False, varType="boolean")), {"b": True}, "no"),
        (branch(condition("start.b", "=", "1", varType="boolean")), {"b": True}, "yes"),
        (branch(condition("start.t", "is", "a"), condition("start.t", "is", "b"), operator="or"),
         {"t": "b"}, "yes"),
    ],
)  # fmt: skip
async def test_a_condition_reads_values_as_the_editor_writes_them(
    node: Node, given: Node, word: str, place: Place
) -> None:
    types = {"n": "number", "t": "text-input", "b": "checkbox"}
    drawing = decided(
        node,
        variables=tuple({"variable": k, "label": k, "type": t} for k, t in types.items()),
        environment=({"id": "e", "name": "word", "value": "open", "value_type": "string"},),
    )
    assert await place.outputs(drawing, Given(inputs=given)) == {"word": word}


@in_module_loop
@pytest.mark.parametrize(
    ("node", "files", "word"),
    [
        (branch(condition("sys.files", "not empty")), (), "no"),
        (branch(condition("sys.files", "not empty")), (PDF,), "yes"),
        (branch(condition("sys.files", "contains", "", sub_variable_condition={
            "case_id": "s", "logical_operator": "and",
            "conditions": [{"id": "c", "key": "type", "comparison_operator": "in",
                            "value": ["image"], "varType": "string"}]})), (PDF, IMAGE), "yes"),
        (branch(condition("sys.files", "all of", "", sub_variable_condition={
            "case_id": "s", "logical_operator": "and",
            "conditions": [{"id": "c", "key": "extension", "comparison_operator": "is",
                            "value": ".pdf", "varType": "string"}]})), (PDF, IMAGE), "no"),
    ],
)  # fmt: skip
async def test_a_condition_looks_at_the_files_of_a_message(
    node: Node, files: tuple[Any, ...], word: str, place: Place
) -> None:
    assert await place.outputs(decided(node), Given(files=files)) == {"word": word}


@in_module_loop
async def test_the_old_flat_form_of_if_else_is_one_case(place: Place) -> None:
    node = {
        "id": "if",
        "type": "if-else",
        "logical_operator": "or",
        "conditions": [
            condition("sys.query", "start with", "a"),
            condition("sys.query", "is", "b"),
        ],
    }
    assert await place.outputs(decided(node), Given(query="b")) == {"word": "yes"}
    assert await place.outputs(decided(node), Given(query="c")) == {"word": "no"}


@in_module_loop
async def test_texts_name_the_environment_the_conversation_and_the_system(place: Place) -> None:
    prompt = [{"role": "user", "text": "{{#env.n#}}/{{#conversation.list#}}/{{#sys.query#}}"}]
    drawing = Drawing(
        (model(prompt),),
        {"text": "llm.text"},
        environment=({"id": "e", "name": "n", "value": "0.50", "value_type": "number"},),
        conversation=(
            {"id": "c", "name": "list", "value": ["a", 1], "value_type": "array[object]"},
        ),
    )
    messages = await place.messages(drawing, Given(query="q"))
    assert messages == [{"role": "user", "content": '0.5/["a",1]/q'}]


@in_module_loop
async def test_a_prompt_in_jinja_walks_over_objects_and_keeps_windows_line_breaks_out(
    place: Place,
) -> None:
    text = "{% for p in people %}{{ loop.index }}. {{ p.name }}\r\n{% endfor %}{{ missing }}"
    prompt = [{"role": "user", "text": "", "edition_type": "jinja2", "jinja2_text": text}]
    variables = [{"variable": "people", "value_selector": ["code", "people"]}]
    code = 'def main() -> dict:\n    return {"people": [{"name": "A"}, {"name": "B"}]}'
    drawing = Drawing(
        (
            python(code, {"people": {"type": "array[object]", "children": None}}),
            model(prompt, prompt_config={"jinja2_variables": variables}),
        ),
        {"text": "llm.text"},
    )
    assert await place.messages(drawing) == [{"role": "user", "content": "1. A\n2. B\n"}]


@in_module_loop
async def test_the_prompt_of_a_completion_model_is_what_the_user_says(place: Place) -> None:
    drawing = Drawing((model({"text": "say {{#sys.query#}}"}),), {"text": "llm.text"})
    messages = await place.messages(drawing, Given(query="it"))
    assert messages == [{"role": "user", "content": "say it"}]


@in_module_loop
@pytest.mark.parametrize("window", [{"enabled": False, "size": 50}, {"enabled": True, "size": ""}])
async def test_memory_asks_the_users_question_last(window: Node, place: Place) -> None:
    memory = {"role_prefix": {"user": "", "assistant": ""}, "window": window}
    drawing = Drawing(
        (model([{"role": "system", "text": "be kind"}], memory=memory),), {"text": "llm.text"}
    )
    assert await place.messages(drawing, Given(query="why?")) == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "why?"},
    ]


@in_module_loop
@pytest.mark.parametrize("vision", [
    {"enabled": True},
    {"enabled": True, "configs": {"detail": "high"}},
    {"enabled": True, "configs": {"detail": "high", "variable_selector": ["start", "pics"]}},
])  # fmt: skip
async def test_vision_shows_images_and_leaves_other_files_out(vision: Node, place: Place) -> None:
    drawing = Drawing(
        (model([{"role": "user", "text": "what?"}], vision=vision),),
        {"text": "llm.text"},
        variables=({"variable": "pics", "type": "file-list", "label": "p", "required": False},),
    )
    given = Given(inputs={"pics": [IMAGE]}, files=(PDF, IMAGE))
    ((message),) = await place.messages(drawing, given)
    image, text = message["content"]
    assert image["image_url"]["url"] == "http://h/a.png"
    assert text == {"type": "text", "text": "what?"}


@in_module_loop
async def test_an_assigner_applies_its_operations_in_order(place: Place) -> None:
    def item(name: str, operation: str, value: Any = None, kind: str = "constant") -> Node:
        where = {"variable_selector": ["conversation", name], "write_mode": "over-write"}
        return {**where, "input_type": kind, "operation": operation, "value": value}

    items = [
        item("n", "+=", 5),
        item("n", "*=", "2"),
        item("n", "-=", ["start", "m"], "variable"),
        item("list", "append", ["sys", "query"], "variable"),
        item("list", "extend", ["start", "more"], "variable"),
        item("list", "remove-first"),
        item("text", "set", "new"),
        item("gone", "clear"),
        item("object", "set", '{"a": 1}'),
    ]
    values: dict[str, tuple[Any, str]] = {
        "n": (1, "number"),
        "list": (["x"], "array[string]"),
        "text": ("", "string"),
        "gone": (["y"], "array[string]"),
        "object": ({}, "object"),
    }
    drawing = Drawing(
        ({"id": "set", "type": "assigner", "version": "2", "items": items},),
        {name: f"conversation.{name}" for name in values},
        variables=(
            {"variable": "m", "type": "number", "label": "m"},
            {"variable": "more", "type": "array[string]", "label": "more"},
        ),
        conversation=tuple(
            {"id": name, "name": name, "value": value, "value_type": declared}
            for name, (value, declared) in values.items()
        ),
    )
    given = Given(inputs={"m": 2, "more": ["z"]}, query="q")
    assert await place.outputs(drawing, given) == {
        "n": 10,
        "list": ["q", "z"],
        "text": "new",
        "gone": [],
        "object": {"a": 1},
    }


@in_module_loop
@pytest.mark.parametrize("mode", ["over-write", "append", "clear"])
async def test_the_first_version_of_the_assigner_writes_one_variable(
    mode: str, place: Place
) -> None:
    node = {
        "id": "set",
        "type": "assigner",
        "assigned_variable_selector": ["conversation", "log"],
        "input_variable_selector": ["sys", "query"],
        "write_mode": mode,
    }
    log = {"id": "c", "name": "log", "value": ["old"], "value_type": "array[string]"}
    drawing = Drawing((node,), {"log": "conversation.log"}, conversation=(log,))
    wanted: dict[str, Any] = {"over-write": "q", "append": ["old", "q"], "clear": []}
    assert await place.outputs(drawing, Given(query="q")) == {"log": wanted[mode]}


@in_module_loop
async def test_code_gives_its_declared_outputs_and_nothing_else(place: Place) -> None:
    code = (
        "import json, re, math\n"
        "from datetime import datetime\n\n"
        "def main(text: str, n: int) -> dict:\n"
        "    data = json.loads(re.search(r'\\{.*\\}', text, re.DOTALL).group(0))\n"
        "    return {'names': data['names'], 'count': n * math.floor(1.5), 'more': 1,\n"
        "            'deep': {'a': {'b': None}}, 'flag': True}\n"
    )
    outputs = {
        "names": {"type": "array[string]", "children": None},
        "count": {"type": "number", "children": None},
        "deep": {"type": "object", "children": None},
        "flag": {"type": "boolean", "children": None},
    }
    drawing = Drawing(
        (python(code, outputs, text="sys.query", n="start.n"),),
        {"names": "code.names", "count": "code.count", "b": "code.deep.a", "more": "code.more"},
        variables=({"variable": "n", "type": "number", "label": "n"},),
    )
    given = Given(inputs={"n": 3}, query='so: ```json\n{"names": ["a", "b"]}\n```')
    wanted = {"names": ["a", "b"], "count": 3, "b": {"b": None}, "more": None}
    assert await place.outputs(drawing, given) == wanted


@in_module_loop
async def test_javascript_takes_its_variables_as_one_object(place: Place) -> None:
    node: Node = {
        **python("function main({a, b}) {\n  return { result: a + b }\n}", {}, a="sys.query"),
        "code_language": "javascript",
        "outputs": {"result": {"type": "string", "children": None}},
    }
    node["variables"].append({"variable": "b", "value_selector": ["start", "t"]})
    drawing = Drawing(
        (node,),
        {"result": "code.result"},
        variables=({"variable": "t", "type": "paragraph", "label": "t"},),
    )
    outputs = await place.outputs(drawing, Given(inputs={"t": "y"}, query="x"))
    assert outputs == {"result": "xy"}


@in_module_loop
async def test_a_failure_takes_its_own_branch_with_what_went_wrong(place: Place) -> None:
    code = "def main():\n    raise ValueError('too bad')\n"
    node = {**python(code, {"x": {"type": "string"}}), "error_strategy": "fail-branch"}
    told = template("bad", "{{ m }} ({{ t }})", m="code.error_message", t="code.error_type")
    drawing = Drawing(
        (node, template("good", "good"), told),
        {"good": "good.output", "bad": "bad.output"},
        edges="start>code code:success-branch>good code:fail-branch>bad good>end bad>end",
    )
    status = await place.run(drawing, Given())
    assert isinstance(status, Completed)
    assert status.exceptions == 1
    assert status.outputs["good"] is None
    assert "too bad" in status.outputs["bad"]
    assert status.outputs["bad"].endswith("(CodeExecutionError)")


@in_module_loop
async def test_a_default_value_stands_for_the_outputs_by_its_type(place: Place) -> None:
    defaults = [
        {"key": "body", "type": "string", "value": "none"},
        {"key": "status_code", "type": "number", "value": "204"},
        {"key": "headers", "type": "object", "value": '{"a": "b"}'},
    ]
    node = request(method="get", url="{{#sys.base#}}/broken", default_value=defaults)
    drawing = Drawing(
        ({**node, "error_strategy": "default-value"},),
        {"body": "http.body", "code": "http.status_code", "a": "http.headers.a"},
    )
    assert await place.outputs(drawing) == {"body": "none", "code": 204, "a": "b"}


@in_module_loop
async def test_a_request_is_made_of_lines_of_text(place: Place) -> None:
    node = request(
        method="get",
        url="{{#sys.base#}}/search",
        headers="X-One:1\nAuthorization: Bearer {{#env.key#}}",
        params="q:{{#sys.query#}}\nn:3\n",
        timeout={"max_connect_timeout": 0, "max_read_timeout": 0, "max_write_timeout": 0},
    )
    key = {"id": "k", "name": "key", "value": "s", "value_type": "secret"}
    drawing = Drawing((node,), {"body": "http.body"}, environment=(key,))
    sent = await place.sent(drawing, Given(query="two words"))
    assert sent.path == "/search?q=two%20words&n=3"
    assert (sent.headers["x-one"], sent.headers["authorization"]) == ("1", "Bearer s")


@in_module_loop
@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ({"type": "form-data", "data": [{"id": "1", "key": "a", "type": "text",
                                         "value": "{{#sys.query#}}"}]},
         "multipart/form-data", "\r\n\r\nhi you\r\n"),
        ({"type": "form-data", "data": "a:{{#sys.query#}}\nb:2"},
         "multipart/form-data", 'name="b"\r\n\r\n2\r\n'),
        ({"type": "x-www-form-urlencoded", "data": [{"id": "1", "key": "a", "type": "text",
                                                     "value": "{{#sys.query#}}"}]},
         "application/x-www-form-urlencoded", "a=hi+you"),
        ({"type": "json", "data": [{"id": "1", "key": "", "type": "text",
                                    "value": '{"a": "{{#sys.query#}}"}'}]},
         "application/json", '"hi you"'),
        ({"type": "json", "data": '{"a": "{{#sys.query#}}"}'}, "application/json", '"hi you"'),
        ({"type": "raw-text", "data": [{"key": "", "type": "text", "value": "{{#sys.query#}}!"}]},
         "text/plain", "hi you!"),
    ],
)  # fmt: skip
async def test_a_body_comes_in_the_forms_of_old_and_new_exports(
    body: Node, content_type: str, text: str, place: Place
) -> None:
    drawing = Drawing((request(body=body),), {"body": "http.body"})
    sent = await place.sent(drawing, Given(query="hi you"))
    assert sent.headers["content-type"].startswith(content_type)
    assert text in sent.body


@in_module_loop
async def test_a_file_gives_its_attributes_to_whoever_names_them(place: Place) -> None:
    drawing = Drawing(
        (template("t", "{{ name }} {{ kind }} {{ end }}", name="start.doc.name",
                  kind="start.doc.type", end="start.doc.extension"),),
        {"text": "t.output", "url": "start.doc.url"},
        variables=({"variable": "doc", "type": "file", "label": "d", "required": True,
                    "allowed_file_types": ["document"]},),
    )  # fmt: skip
    outputs = await place.outputs(drawing, Given(inputs={"doc": PDF}))
    assert outputs == {"text": "b.pdf document .pdf", "url": "http://h/b.pdf"}


@in_module_loop
async def test_what_an_editor_leaves_behind_does_not_stop_a_run(place: Place) -> None:
    unfilled: Node = {"variable": "", "value_selector": []}
    lines = template("t", "{{ q }}{{ gone }}", q="sys.query", gone="deleted.text")
    lines["variables"].append(unfilled)
    model_never_set = model(
        [{"role": "user", "text": "{{#deleted.text#}}x"}],
        memory=None,
        vision=None,
        context={"enabled": False, "variable_selector": []},
    )
    drawing = Drawing(
        (lines, model_never_set),
        {"text": "t.output", "gone": "deleted.text"},
        variables=({"variable": "a", "type": "select", "label": None, "required": None,
                    "max_length": "", "options": [1, 2], "default": ""},),
        edges="start>t t>llm llm>end deleted>t llm:source>deleted",
    )  # fmt: skip
    outputs = await place.outputs(drawing, Given(query="q", inputs={"a": "2"}))
    assert outputs == {"text": "qNone", "gone": None}


@in_module_loop
async def test_an_aggregator_with_groups_has_an_output_for_each(place: Place) -> None:
    node = {
        "id": "sum",
        "type": "variable-aggregator",
        "output_type": "string",
        "variables": [["x", "y"]],
        "advanced_settings": {
            "group_enabled": True,
            "groups": [
                {"group_name": "A", "groupId": "1", "output_type": "string",
                 "variables": [["nowhere", "text"], ["sys", "query"]]},
                {"group_name": "B", "groupId": "2", "output_type": "string",
                 "variables": [["start", "t"]]},
            ],
        },
    }  # fmt: skip
    drawing = Drawing(
        (node, template("nowhere", "never")),
        {"a": "sum.A.output", "b": "sum.B.output"},
        variables=({"variable": "t", "type": "text-input", "label": "t"},),
        edges="start>sum sum>end",
    )
    outputs = await place.outputs(drawing, Given(inputs={"t": "y"}, query="x"))
    assert outputs == {"a": "x", "b": "y"}


@in_module_loop
async def test_a_list_operator_filters_orders_and_cuts(place: Place) -> None:
    node = {
        "id": "list",
        "type": "list-operator",
        "variable": ["sys", "files"],
        "filter_by": {
            "enabled": True,
            "conditions": [{"key": "name", "comparison_operator": "contains", "value": "a"}],
        },
        "order_by": {"enabled": True, "key": "name", "value": "desc"},
        "limit": {"enabled": True, "size": 1},
        "extract_by": {"enabled": False, "serial": "1"},
    }
    files = tuple({**IMAGE, "filename": f"{name}.png"} for name in ("a1", "b", "a2"))
    drawing = Drawing((node,), {"name": "list.first_record.name", "all": "list.result"})
    outputs = await place.outputs(drawing, Given(files=files))
    assert outputs["name"] == "a2.png"
    assert len(outputs["all"]) == 1
