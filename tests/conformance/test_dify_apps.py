"""Real exports of Dify that hold only supported nodes run to the end, and give what they should.

Models are asked for real, over HTTP, of a mock server under the ids that the exports name. Mocked
are the addresses on the internet, and code that needs packages or folders no sandbox has.
"""

# ruff: noqa: RUF001 - the texts are those of the exports

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client

from xworkflow.client.connection import connect
from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.status import Completed, ExecutionStatus, Failed
from xworkflow.domain.loading import load
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.wire import MockNode
from xworkflow.engine.validation import validated
from xworkflow.nodes.start import StartVariable, start_variables
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.runtime_group.llm_openai import OpenAiConfig, OpenAiProvider
from xworkflow.runtime_group.llm_registry import LlmProviderRegistry
from xworkflow.testing.mock_server import MockResponse, MockServer
from xworkflow.worker import build_worker

pytestmark = [pytest.mark.temporal, pytest.mark.conformance]
in_module_loop = pytest.mark.asyncio(loop_scope="module")

APPS = Path(__file__).resolve().parents[3] / "shared" / "dify" / "apps"
FILE = {
    "type": "document",
    "transfer_method": "remote_url",
    "url": "https://files.example/a.csv",
    "filename": "a.csv",
    "size": 12,
}
PYTHON_ANSWER = "Step 1.\n```python\nprint(6 * 7)\n```\n"
COUPLET = '{"top": "上联", "bottom": "下联", "banner": "新春大吉", "summary": "福"}'
GAME = "完蛋！我被LLM包围了！ "
GAME_CODE = "1735195133945"
RENDERED = MockNode(outputs={"status_code": 200, "body": '{"data": {"url": "https://img/1"}}'})
WEATHER = [{"month": 1, "maxTemp": 9.5, "minTemp": 2, "rainfall": 60}]
CLIMATE = {"data": {"beginYear": 1991, "endYear": 2020, "data": WEATHER}}

Check = Callable[[Mapping[str, Any]], bool]


def is_output(name: str, wanted: object) -> Check:
    return lambda outputs: outputs == {name: wanted}


def holds(name: str, *texts: str) -> Check:
    return lambda outputs: all(text in outputs[name] for text in texts)


@dataclass(frozen=True)
class App:
    """One run of an export: ``replies`` are (what a request must hold, the model's answer)."""

    file: str
    check: Check
    replies: tuple[tuple[str, str], ...] = ((".", "the model's text"),)
    query: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    conversation: Mapping[str, Any] = field(default_factory=dict[str, Any])
    mocks: Mapping[str, MockNode] = field(default_factory=dict[str, MockNode])
    asked: tuple[str, ...] = ()
    """Texts that the model must have been sent."""


def outputs(**values: Any) -> MockNode:
    return MockNode(outputs=values)


def is_picture(answers: Mapping[str, Any]) -> bool:
    """A drawing with all texts in it, under the words that the model found for it."""
    _, _, coded = answers["answer"].partition("![the model's text](data:image/svg+xml;base64,")
    drawing = base64.b64decode(coded.partition(")")[0]).decode()
    texts = ("中年危机", "midlife crisis", '<tspan x="50%" dy="0">the model')
    return "\r" not in drawing and all(text in drawing for text in texts)


def is_chart(answers: Mapping[str, Any]) -> bool:
    text = answers["answer"].removeprefix("```echarts\n").removesuffix("\n```")
    return json.loads(text)["series"][0]["data"] == [9.5]


def is_campaign(found: Mapping[str, Any]) -> bool:
    pictures = {found[f"image_{number}_url"] for number in range(1, 5)}
    tags = ("red_hashtag", "douyin_hashtag")
    return (
        pictures == {"https://img/1"}
        and all(found[name] == "#tags" for name in tags)
        and found["red_content"] == "the model's text"
        and len(found) == 12
    )


def level(**values: Any) -> MockNode:
    """What the game's own code says, which imports a package of mathematics."""
    state = {"game_level": 0, "game_level_name": "L", "question_id": 1, "question_type": 0}
    texts = {"question_title": "T", "question_description": "D", "status": "running"}
    return MockNode(outputs={**state, **texts, **values})


WON = (
    "**模型的回答：**\n1+1=3\n\n"
    '**挑战结果：** <span style="color: blue;">挑战成功！进入下一关。</span>🎉\n\n'
    "## L\n### T\n**当前挑战：** D"
)
RUNS = (
    App("Artifact", is_output("answer", "the model's text"), query="你好", asked=("你好",)),
    App("Python Coding Prompt", is_output("answer", "the model's text"), query="q", asked=('"q"',)),
    App(
        "Dify 运营一条龙",
        is_campaign,
        replies=((r"多个 hashtag", "#tags"), (".", "the model's text")),
        mocks=dict.fromkeys(
            ("1721651094996", "1721662929596", "1721726214091", "1721726752002"), RENDERED
        ),
        inputs={"basic_instruction": "介绍一下"},
        asked=("介绍一下", "OpenAI, Anthropic"),
    ),
    App(
        "File_read",
        is_output("output", "| a | b |"),
        mocks={
            "1733304400929": outputs(file_path="/upload_files/a"),
            "1733308511344": outputs(result="| a | b |"),
        },
    ),
    App(
        "Form表单聊天Demo",
        holds("answer", "登录成功"),
        mocks={"1731378644337": outputs(is_login=1, user_token="t")},
    ),
    App(
        "Form表单聊天Demo",
        holds("answer", "初次使用", '<input type="text" name="username" />'),
        mocks={"1731378644337": outputs(is_login=0, user_token="")},
    ),
    App(
        "Form表单聊天Demo",
        is_output("answer", "the model's text"),
        query="hello",
        conversation={"user_token": "t"},
        asked=("hello",),
    ),
    App("SEO Slug Generator", is_output("output", "the model's text"), asked=("text of title",)),
    App(
        "chart_demo",
        is_chart,
        mocks={"1731568176573": outputs(status_code=200, body=json.dumps(CLIMATE))},
    ),
    App(
        "jieba",
        is_output("answer", "['我', '来']"),
        mocks={"1732240797960": outputs(output="['我', '来']")},
    ),
    App(
        "json-repair",
        is_output("output", "{}"),
        mocks={"1732007419308": outputs(result="{}")},
    ),
    App(
        "matplotlib",
        is_output("answer", "![描述文本](data:image/png;base64,iVBO)\n"),
        mocks={"1732083953925": outputs(result="iVBO")},
    ),
    App(
        "runLLMCode",
        is_output("output", "42\n"),
        replies=((".", PYTHON_ANSWER),),
        mocks={
            "1733304400929": outputs(file_path="/upload_files/a"),
            "1733364687479": outputs(result="| a | b |"),
            "1733305706063": outputs(status_code=200, body='{"data": {"stdout": "42\\n"}}'),
        },
        asked=("csv的数据路径为：/upload_files/a", "<DataSample>| a | b |</DataSample>"),
    ),
    App(
        "translation_workflow",
        is_output("output", "better"),
        replies=(
            ("please provide the", "first"),
            ("criticisms and helpful suggestions", "advice"),
            ("Your task is to carefully read, then edit", "better"),
        ),
        inputs={"country": ""},
        asked=("<TRANSLATION>\\nfirst\\n</TRANSLATION>", "<EXPERT_SUGGESTIONS>\\nadvice"),
    ),
    App(
        "translation_workflow",
        is_output("output", "better"),
        replies=(
            ("please provide the", "first"),
            ("colloquially spoken in Chile", "local advice"),
            ("Your task is to carefully read, then edit", "better"),
        ),
        inputs={"country": "Chile"},
        asked=("<EXPERT_SUGGESTIONS>\\nlocal advice",),
    ),
    App("中译英", is_output("output", "the model's text"), asked=("text of content",)),
    App("宝玉的英译中优化版", is_output("output", "the model's text"), asked=("text of content",)),
    App(GAME, holds("answer", "还未开始游戏"), query="hello"),
    App(
        GAME,
        is_output("answer", "## L\n### T\n**当前挑战：** D"),
        query="#开始",
        mocks={GAME_CODE: level(valid_pass=-1)},
    ),
    App(
        GAME,
        is_output("answer", WON),
        replies=(("1加1", "1+1=3"),),
        query="1加1",
        conversation={"status": "running"},
        mocks={GAME_CODE: level(valid_pass=1)},
    ),
    App(
        GAME,
        holds(
            "answer", "**模型的回答（倒序问题）：**\nreversed", "挑战失败，请再试一次。", "### T"
        ),
        replies=(("cba", "reversed"), ("abc", "plain")),
        query="abc",
        conversation={"status": "running", "question_type": 1},
        mocks={GAME_CODE: level(valid_pass=0)},
    ),
    App(
        "春联生成器",
        holds("output", ">吉大春新</span>", "上联", "下联"),
        replies=((".", f"好的：\n{COUPLET}"),),
        asked=("上下联字数：五言",),
    ),
    App(
        "春联生成器 (“福”到了版本)",
        holds("output", ">吉大春新</span>", "上联", "下联", ">福</span>"),
        replies=((".", COUPLET),),
        asked=("主题：text of theme",),
    ),
    App(
        "标题党创作",
        is_output("title_list", ["one", "two", "three"]),
        replies=((".", "one\\ntwo\nthree"),),
        asked=("- 主题：text of subject",),
    ),
    App(
        "瞎说新语v2",
        is_picture,
        replies=(("汉语词语翻译成英文", "midlife crisis"), (".", "the model's text")),
        query="中年危机",
        asked=("给你topic：中年危机",),
    ),
    App(
        "腾讯云SubtitleInfo",
        lambda found: found == {"status": 1, "content": "WEBVTT"},
        mocks={"1731555795064": outputs(status=1, content="WEBVTT")},
    ),
)


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


def drawn(name: str) -> WorkflowSchema:
    return load((APPS / f"{name}.yml").read_bytes(), "yaml", name=name)


def completion(text: str) -> str:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    return json.dumps({"model": "m", "choices": [choice], "usage": usage})


def model_server(app: App) -> MockServer:
    """Answers each request with the first reply whose pattern is found in it, however often."""
    path = "/v1/chat/completions"
    return MockServer(
        tuple(
            MockResponse("POST", path, match_body=f, response_body=completion(r), expect=100)
            for f, r in app.replies
        )
    )


def providers(schema: WorkflowSchema, url: str) -> LlmProviderRegistry:
    """A provider for every id that the export's models are drawn with."""
    registry = LlmProviderRegistry()
    config = OpenAiConfig(api_key="k", base_url=f"{url}/v1")
    for node in schema.nodes:
        if node.type == "llm":
            registry.register(OpenAiProvider(config, provider_id=node.data["model"]["provider"]))
    return registry


@dataclass(frozen=True)
class Place:
    client: Client
    group: RuntimeGroup

    async def run(self, app: App, server: MockServer, queue: str) -> ExecutionStatus:
        schema = drawn(app.file)
        group = self.group.replaced(llm_provider_registry=providers(schema, server.url))
        made = {v.variable: made_up(v) for v in start_variables(schema)}
        builder = WorkflowRunner.builder(schema).user_inputs({**made, **app.inputs})
        builder.system_vars({"query": app.query, "files": []}).mock_nodes(app.mocks)
        builder.conversation_vars(app.conversation).client(self.client, task_queue=queue)
        async with build_worker(self.client, group, queue=queue):
            return await (await builder.run()).wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(temporal_server: str) -> AsyncIterator[Place]:
    group = RuntimeGroup.default()
    try:
        yield Place(await connect(temporal_server), group)
    finally:
        await group.aclose()


@in_module_loop
@pytest.mark.parametrize("app", RUNS, ids=[f"{n}-{app.file}" for n, app in enumerate(RUNS)])
async def test_an_export_runs_to_the_end(app: App, place: Place, task_queue: str) -> None:
    with model_server(app) as server:
        status = await place.run(app, server, task_queue)
    assert isinstance(status, Completed), status
    assert app.check(status.outputs), status.outputs
    bodies = "\n".join(request.body for request in server.requests)
    assert all(text in bodies for text in app.asked), bodies


@in_module_loop
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("jieba", "No module named 'jieba'"),
        ("json-repair", "No module named 'json_repair'"),
        ("腾讯云SubtitleInfo", "No module named 'hmac'"),
    ],
)
async def test_code_that_needs_a_package_names_it(
    name: str, reason: str, place: Place, task_queue: str
) -> None:
    app = App(name, lambda _: False)
    with model_server(app) as server:
        status = await place.run(app, server, task_queue)
    assert isinstance(status, Failed)
    assert reason in status.message


def test_every_valid_export_is_run(shared: Path) -> None:
    names = {path.stem for path in (shared / "dify" / "apps").glob("*.yml")}
    valid = {name for name in names if not validated(drawn(name)).errors}
    assert valid == {app.file for app in RUNS}
