"""Real exports of Dify whose tools, agents, extractors and knowledge bases are mocked by id.

Everything else of them runs: models are asked over HTTP, code and templates are executed, bodies
are repeated. What a mocked node gives is what Dify's own gives.
"""

# ruff: noqa: RUF001 - the texts are those of the exports

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import event_laws
from tests.conformance.dify_apps import (
    SERVER,
    App,
    Place,
    drawn,
    holds,
    is_output,
    model_server,
    nodes_of,
    outputs,
)
from xworkflow.client.status import Completed
from xworkflow.domain.wire import MockNode
from xworkflow.engine.validation import validated
from xworkflow.testing.mock_server import MockResponse

pytestmark = [pytest.mark.temporal, pytest.mark.conformance]
in_module_loop = pytest.mark.asyncio(loop_scope="module")

MOCKED = frozenset(
    {"agent", "document-extractor", "knowledge-retrieval", "parameter-extractor", "tool"}
)
"""Types that no worker has; a node of one runs only with its answer mocked."""


def tool(text: str, **others: Any) -> MockNode:
    return outputs(text=text, **{"files": [], "json": [], **others})


def tools(*texts: str) -> MockNode:
    """What a tool in a body gives for each item."""
    return MockNode(by_index=tuple({"text": text, "files": [], "json": []} for text in texts))


def extracted(**found: Any) -> MockNode:
    return outputs(__is_success=1, __reason=None, **found)


def passage(content: str) -> dict[str, Any]:
    return {"title": "t", "content": content, "metadata": {"_source": "knowledge", "score": 0.9}}


def retrieved(*contents: str) -> MockNode:
    return outputs(result=[passage(content) for content in contents])


def agent(text: str) -> MockNode:
    return outputs(text=text, files=[], json=[])


CODE = {
    "json": {
        "out_file_name": "A.java",
        "java": [
            {"type": "import", "codes": "import java.util.*;"},
            {"type": "function", "signature": "int one()"},
            {"type": "class", "signature": "class Two"},
        ],
    }
}
MENU = {
    "name": "菜单",
    "price": 3,
    "dishes": [{"id": "#fff", "title": "豆腐"}, {"title": "面", "note": "辣"}],
}
TRANSLATED = {
    "name": "menu",
    "price": 3,
    "dishes": [{"id": "#fff", "title": "tofu"}, {"title": "noodles", "note": "hot"}],
}
FOUND = [{"href": f"https://w/{n}", "title": f"T{n}"} for n in range(4)]
QR_CODE = {
    "type": "image",
    "transfer_method": "remote_url",
    "url": "https://img/qr.png",
    "filename": "qr.png",
}
DOCUMENT = {
    "type": "document",
    "transfer_method": "remote_url",
    "url": "https://files.example/b.pdf",
    "filename": "b.pdf",
    "size": 9,
}
KIMI = "simple-kimi"
CRAWLED = {
    "1718967141318": tool(json.dumps({"content": "a long article"})),
    "17190400701430": extracted(title="Title", content="x" * 401, keywords="k"),
}
REWRITER = "文章仿写-单图_多图自动搭配"
RESEARCHER = "Deep Researcher On Dify "
QUESTIONS = extracted(Question1="Which?", Question2="Where?", Question3="When?", Question4="Why?")
SUBTITLES = {f"subtitle{n}": f"Part {n}" for n in range(1, 5)}
KEYWORDS = {
    "1739191349072": extracted(Keyword1=["a", "b"]),
    "17391916626840": extracted(Keyword2=["c"]),
    "17391916638460": extracted(Keyword3=[]),
    "17391916650280": extracted(Keyword4=["d", "e"]),
}
RESEARCH = (
    "正在分析研究主题...\n|\n研究主题已确定。\n|\n正在理解用户的回答...\n"
    "|\n好的，依据用户给出的回答，我将构建多个研究角度。\n"
    "|\n我将从以下4个角度进行分析：\n\n**Part 1**\n\n**Part 2**\n\n**Part 3**\n\n**Part 4**\n\n"
    "正在生成研究报告...请稍候...\n|\n报告已生成：\n\n---\n\n"
    "<h1>the theme</h1>\n\n<div>the opening</div>\n\n"
    "<h2>Part 1</h2>\n<div>one</div>\n\n<h2>Part 2</h2>\n<div>two</div>\n\n"
    "<h2>Part 3</h2>\n<div>three</div>\n\n<h2>Part 4</h2>\n<div>four</div>\n\n"
    "<div>the closing</div>"
)
TABLE = "|URL|Summary|\n|---|---|\n|http://w/1|summary one|\n|https://w/2|summary two|\n"
LINE = "-" * 34
GAME = "完蛋！我被LLM包围了！（战绩排行版）"
MEMORY = "记忆测试"
PAYMENT = "小支付-DEMO"


def is_translation(found: Mapping[str, Any]) -> bool:
    return json.loads(found["updated_json"]) == TRANSLATED


RUNS = (
    App(
        "AgentFlow",
        is_output("answer", "the agent's text"),
        mocks={"1740645185279": agent("the agent's text")},
    ),
    App(
        "Agent工具调用",
        is_output("answer", "the agent's text"),
        mocks={"1739781971571": agent("the agent's text")},
    ),
    App(
        "Claude3 Code Translation",
        is_output("final_code", "import java.util.*;\nint one() { return 1; }\nclass Two {}"),
        replies=(
            ("int one\\(\\)", "int one() { return 1; }"),
            ("class Two", "class Two {}"),
            (".", "yaml: 1"),
        ),
        mocks={"1723619551968": tool(json.dumps(CODE))},
    ),
    App(
        RESEARCHER,
        is_output("answer", "为了更好的回答这个问题，我希望先了解一些内容：\n\nWhich?"),
        system={"dialogue_count": 0},
        query="English",
        mocks={"1739089738469": QUESTIONS},
    ),
    App(
        RESEARCHER,
        is_output("answer", "Where?"),
        system={"dialogue_count": 1},
        conversation={"q2": "Where?"},
    ),
    App(
        RESEARCHER,
        is_output("answer", RESEARCH),
        replies=(
            ("富有专业性的主题.*问题1Q1回答1F1", "the theme"),
            ("Generate 3 to 5 sub-titles", "the titles"),
            ("写一个开始段", "the opening"),
            ("撰写结尾段", "the closing"),
            ("speculative predictions", "three"),
            ("contrarian ideas", "two"),
            ("proactively anticipate", "four"),
            ("providing highly detailed", "one"),
            (".", "a longer answer"),
        ),
        system={"dialogue_count": 4},
        conversation={f"q{n}": f"Q{n}" for n in range(1, 5)}
        | {f"f{n}": f"F{n}" for n in range(1, 5)},
        mocks={
            "1739112773493": extracted(**SUBTITLES),
            **KEYWORDS,
            "1739288338449": MockNode(error="the knowledge base is away"),
            "1739288362314": retrieved("about c"),
            "1739288378358": retrieved("never asked"),
            "1739191682740017391916827400": tools("about d", "about e"),
        },
        asked=("about c", "about d", "about e"),
        exceptions=2,
    ),
    App(
        "Demo-tod_agent",
        is_output("answer", "which city?"),
        mocks={"1742523567258": agent("which city?")},
    ),
    App(
        "Demo-tod_agent",
        is_output("answer", "the model's text"),
        mocks={"1742523567258": agent("InformationCollectionCompleted: Rome")},
        asked=("InformationCollectionCompleted: Rome",),
    ),
    *(
        App(
            "Document_chat_template",
            is_output("output", text),
            replies=(
                ("意图分析系统", "需要查询"),
                ("text classification engine", json.dumps({"category_id": category})),
                (f"属于 {name} 的问题.n结果：.n{content}", text),
            ),
            inputs={"input": "how?"},
            mocks={node: retrieved(content, "other")},
        )
        for category, name, node, content, text in (
            ("1", "安装", "1720800425522", "c1", "install it"),
            ("2", "提问", "1720800677771", "c2", "ask it"),
            ("1720796069925", "架构", "1720800734485", "c3", "draw it"),
            ("1720839653345", "其他", "1720839679262", "c4", "guess it"),
        )
    ),
    App(
        "Document_chat_template",
        is_output("output", "你的问题 how? 不属于dify文档的相关内容，请重新提问。"),
        inputs={"input": "how?"},
    ),
    App(
        "DuckDuckGo翻译+LLM二次翻译",
        is_output("output", "the model's text"),
        mocks={"1721107972339": tool("literally")},
        asked=("literally",),
    ),
    App(
        "Jina Reader Jinja",
        is_output("text", TABLE),
        replies=(("page one", "summary\none"), ("page two", "summary two")),
        mocks={
            "1713262010863": tool("see (http://w/1) and (https://w/2)"),
            "1720758285748": tools("page one", "page two"),
        },
    ),
    App(
        "LanguageConsistencyChecker",
        lambda found: found == {"cn": "zh checked", "en": "en checked", "jp": "jp checked"},
        replies=(
            ("中文版本：zh text.n基准版本：en text", "zh checked"),
            ("英文版本：en text.n基准版本：en text", "en checked"),
            ("日文版本：.n基准版本：en text", "jp checked"),
        ),
        inputs={"lang": "en-US"},
        mocks={
            "1732344950523": tool(json.dumps({"data": {"content": "zh text"}})),
            "17310793844280": tool(json.dumps({"data": {"content": "en text"}})),
            "17310794023810": tool("no JSON"),
        },
    ),
    App("MCP", is_output("answer", "sunny"), mocks={"1742957995972": agent("sunny")}),
    App("MCP-amap", is_output("answer", "left"), mocks={"1742957995972": agent("left")}),
    App(
        "Text to Card Iteration",
        is_output("image_url", "https://img/1"),
        mocks={
            "1721710297246": outputs(status_code=200, body='{"url": "https://img/1"}'),
            "1721731782529": extracted(image_url="https://img/1"),
        },
    ),
    App(
        "json_translate",
        is_translation,
        inputs={"json_data": json.dumps(MENU, ensure_ascii=False)},
        mocks={"1731659570395": tools("menu", "tofu", "noodles", "hot")},
    ),
    App(
        "llm2o1.cn",
        is_output("answer", "## 问题分析步骤\n- one: 1\n- two: 2\n\n##  最终解答\nthree"),
        replies=(
            ("逐步思考的AI助手", "steps"),
            ("本轮任务名称：one，任务描述：first", "- one: 1"),
            ("本轮任务名称：two，任务描述：second", "- two: 2"),
            ("- one: 1.n- two: 2", "three"),
        ),
        query="1+2?",
        mocks={
            "1727188958486": extracted(
                steps=[
                    {"name": "one", "content": "first"},
                    {"name": "two", "content": "second"},
                ]
            )
        },
    ),
    App(
        KIMI,
        is_output("answer", "开始搜索...best"),
        replies=(
            ("候选回答.*A0.*A1.*A2.*A3", "best"),
            *((rf"Title: \[T{n}\]\(https://w/{n}\).*page {n}", f"A{n}") for n in range(4)),
        ),
        query="why?",
        inputs={"web_search": "开启"},
        mocks={
            "1727357843831": tool("", json=FOUND),
            "1727437724068": tool("TITLE: 0\nTEXT:\n\npage 0"),
            "1727438331868": tool("TEXT:\n\npage 1"),
            "17274405419030": tool("TEXT:\n\npage 2"),
            "17274407666060": tool("TEXT:\n\npage 3"),
        },
    ),
    App(
        KIMI,
        is_output("answer", "the model's text"),
        query="why?",
        inputs={"web_search": "关闭"},
        asked=("why?",),
    ),
    App(
        KIMI,
        is_output("answer", "it is about b"),
        replies=(("text of b", "it is about b"),),
        query="why?",
        inputs={"web_search": "关闭"},
        system={"files": [DOCUMENT]},
        mocks={"1729777092216": outputs(text="text of b")},
    ),
    App(
        PAYMENT,
        holds("answer", "请使用微信扫描以下二维码", "https://img/qr.png", "Cool，支付成功"),
        mocks={
            "1749220945757": tool("", files=[QR_CODE]),
            "1749221017459": tool("支付成功"),
        },
        system={"dialogue_count": 1},
    ),
    App(
        PAYMENT,
        is_output("answer", "the model's text"),
        query="hello",
        conversation={"status": 1},
        system={"dialogue_count": 3},
        asked=("hello",),
    ),
    App(
        PAYMENT,
        holds("answer", "对话超过3轮"),
        conversation={"status": 1},
        system={"dialogue_count": 4},
    ),
    App(
        "思考助手",
        is_output("answer", "the model's text"),
        query="why?",
        mocks={"1723188386218": retrieved("frame one", "frame two")},
        asked=("why?", "frame one", "frame two"),
    ),
    App(
        "搜索大师",
        is_output("answer", "the whole"),
        replies=(("related questions", "q one\nq two\nq three"), ("hello of one", "the whole")),
        mocks={
            "1720362263119": tools(f"see {SERVER}/one now", f"{SERVER}/two", "nothing found"),
            "1720364034385": MockNode(by_index=({"text": "hello of one"},)),
        },
        pages=(
            MockResponse("GET", "/one", response_body="1"),
            MockResponse("GET", "/two", response_status=404),
        ),
    ),
    App(
        REWRITER,
        lambda found: found == {},
        mocks={"1718967141318": tool(json.dumps({"content": ""}))},
    ),
    App(
        REWRITER,
        is_output("answer", "the model's text"),
        inputs={"clean_img": 0},
        mocks=CRAWLED | {"17190386712500": extracted(title="Title", content="C", keywords="k")},
        asked=("- 标题：Title", "- 内容：C"),
    ),
    App(
        REWRITER,
        is_output("answer", "the model's text"),
        mocks=CRAWLED | {"1719057860526": tool("![one](https://img/1)")},
        asked=("- 图片：![one](https://img/1)",),
    ),
    App(
        REWRITER,
        is_output("answer", f"\n\nFIRST\n\n{LINE}\n\n\n\nSECOND\n\n{LINE}\n\n"),
        replies=(("img/1.*first", "FIRST"), ("img/2.*second", "SECOND")),
        inputs={"single_img": 0},
        mocks=CRAWLED
        | {
            "1719046777534": extracted(
                sections=[
                    {"keywords": "k1", "section": "first"},
                    {"keywords": "k2", "section": "second"},
                ]
            ),
            "1719052020538": tools("https://img/1", "https://img/2"),
        },
    ),
    App(
        "旅行Demo",
        is_output("answer", "go to Rome"),
        query="where?",
        mocks={"1737536410434": agent("go to Rome")},
    ),
    App(
        "根据用户的意图进行回复",
        is_output("output", "in style: eat less"),
        replies=(
            ("聊天信息整理", "what he wants"),
            ("text classification engine", '```json\n{"category_id": "1715846546749"}\n```'),
            ("社群健康管家", "eat less"),
            ("## 回复参考内容.neat less", "in style: eat less"),
        ),
    ),
    App(
        "根据用户的意图进行回复",
        is_output("output", "in style: press it"),
        replies=(
            ("聊天信息整理", "what he wants"),
            ("text classification engine", '{"category_id": "1715846565625"}'),
            ("## 这是知识库.nabout the button", "press it"),
            ("## 回复参考内容.npress it", "in style: press it"),
        ),
        mocks={"1721623802451": retrieved("about the button")},
    ),
    App(
        GAME,
        holds("answer", "TOP", "| rank |"),
        query="#战绩",
        mocks={"1735447680067": tool("| rank |")},
    ),
    App(
        MEMORY,
        is_output("answer", "again"),
        replies=(
            ("聊天内容质检员", "不合理"),
            ("提示词待更新", "a reason"),
            ("生成一个以用户消息为中心的总结", "he said hello"),
            ("尽可能简单答复", "too short"),
            (".", "again"),
        ),
        query="hello",
        system={"dialogue_count": 3},
        mocks={"1726715181866": tool("2024-10-01")},
        asked=("这是计划回复的内容:\\ntoo short", "以用户消息为中心的总结"),
    ),
    App(
        MEMORY,
        is_output("answer", "best"),
        replies=(
            ("聊天内容质检员.*- hot.*- pills.*- care.*- chat", "best"),
            ("<topic>.n台风席卷上海.n</topic>", "hot"),
            ("<topic>", "hot"),
            ("提醒用户及时购药", "pills"),
            ("对用户进行主动关怀", "care"),
            ("与患者进行二次互动", "chat"),
            (".", "ask"),
        ),
        query="主动触达",
        system={"dialogue_count": 1},
        asked=("主动触达",),
    ),
)


def unsupported(name: str) -> frozenset[str]:
    """The ids of an export's nodes that no worker can run."""
    return frozenset(node.id for node in nodes_of(drawn(name).nodes) if node.type in MOCKED)


def fully_mocked(app: App) -> dict[str, MockNode]:
    """A run's mocks, and for nodes off its way mocks that would fail it."""
    off = MockNode(error="this node is not on the way of the run")
    return dict.fromkeys(sorted(unsupported(app.file)), off) | dict(app.mocks)


@in_module_loop
@pytest.mark.parametrize(
    "app",
    [
        pytest.param(
            app,
            id=f"{number}-{app.file}",
            # its code sleeps
            marks=[pytest.mark.slow] if app.file == "Jina Reader Jinja" else [],
        )
        for number, app in enumerate(RUNS)
    ],
)
async def test_an_export_runs_to_the_end(app: App, dify_place: Place, task_queue: str) -> None:
    with model_server(app) as server:
        ran = await dify_place.run(app, server, task_queue, mocks=fully_mocked(app))
    assert isinstance(ran.status, Completed), ran.status
    assert app.check(ran.status.outputs), ran.status.outputs
    assert ran.status.exceptions == app.exceptions
    bodies = "\n".join(request.body for request in server.requests)
    assert all(text in bodies for text in app.asked), bodies
    if "answer" in ran.status.outputs:
        assert event_laws.streamed(ran.events) == ran.status.outputs["answer"]
    assert event_laws.faults(ran.events) == []


def test_every_export_that_needs_mocks_is_run(shared: Path) -> None:
    names = {path.stem for path in (shared / "dify" / "apps").glob("*.yml")}
    needy = {name for name in names if unsupported(name)}
    assert all(not validated(drawn(name), mocked=unsupported(name)).errors for name in needy)
    assert needy == {app.file for app in RUNS}
