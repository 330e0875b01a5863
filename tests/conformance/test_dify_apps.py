"""Real exports of Dify that hold only supported nodes run to the end, and give what they should.

Models are asked for real, over HTTP, of a mock server under the ids that the exports name. Mocked
are the addresses on the internet, and code that needs packages or folders no sandbox has.
"""

# ruff: noqa: RUF001 - the texts are those of the exports

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import event_laws
from tests.conformance.dify_apps import (
    App,
    Place,
    completion,
    drawn,
    holds,
    is_output,
    model_server,
    outputs,
)
from xworkflow.client.status import Completed, Failed
from xworkflow.domain.wire import MockNode
from xworkflow.engine.validation import validated
from xworkflow.testing.mock_server import MockResponse

pytestmark = [pytest.mark.temporal, pytest.mark.conformance]
in_module_loop = pytest.mark.asyncio(loop_scope="module")

PYTHON_ANSWER = "Step 1.\n```python\nprint(6 * 7)\n```\n"
COUPLET = '{"top": "上联", "bottom": "下联", "banner": "新春大吉", "summary": "福"}'
GAME = "完蛋！我被LLM包围了！ "
GAME_CODE = "1735195133945"
RENDERED = MockNode(outputs={"status_code": 200, "body": '{"data": {"url": "https://img/1"}}'})
WEATHER = [{"month": 1, "maxTemp": 9.5, "minTemp": 2, "rainfall": 60}]
CLIMATE = {"data": {"beginYear": 1991, "endYear": 2020, "data": WEATHER}}


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


OUTLINE = json.dumps(
    [
        {"chapter": "第1章", "title": "入门", "contents": ["安装", "变量"]},
        {"chapter": "第2章", "title": "精通", "contents": ["类型"]},
    ],
    ensure_ascii=False,
)


def lesson(chapter: str, title: str, subtitle: str, text: str) -> dict[str, Any]:
    info = {"chapter": chapter, "title": title, "subtitle": subtitle}
    return {"info": info, "course": text}


COURSE = {
    "course_name": "Python",
    "course": [
        lesson("第1章", "入门", "安装", "how to install"),
        lesson("第1章", "入门", "变量", "what a variable is"),
        lesson("第2章", "精通", "类型", "what a type is"),
    ],
}
BOOK = "a" * 8000 + "b" * 50
"""Two pieces, the second of which begins with the last 100 letters of the first."""
WON = (
    "**模型的回答：**\n1+1=3\n\n"
    '**挑战结果：** <span style="color: blue;">挑战成功！进入下一关。</span>🎉\n\n'
    "## L\n### T\n**当前挑战：** D"
)
GAME_OF_TWO = App(
    GAME,
    holds("answer", "**模型的回答（倒序问题）：**\nreversed", "挑战失败，请再试一次。", "### T"),
    replies=(("cba", "reversed"), ("abc", "plain")),
    query="abc",
    conversation={"status": "running", "question_type": 1},
    mocks={GAME_CODE: level(valid_pass=0)},
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
        "dify_course_demo",
        lambda found: found == COURSE,
        replies=(
            ("教程的课程大纲", f"```json\n{OUTLINE}\n```"),
            ("关于入门 安装 的教程文章", "how to install"),
            ("关于入门 变量 的教程文章", "what a variable is"),
            ("关于精通 类型 的教程文章", "what a type is"),
        ),
        inputs={"course_name": "Python"},
        asked=("你是一个 Python 专家",),
    ),
    App(
        "全书翻译",
        is_output("final", "free 1 free 2"),
        replies=(
            ("识别用户输入的技术术语.*ab{50}", "terms 2"),
            ("识别用户输入的技术术语", "terms 1"),
            ("精通简体中文的专业译者.*terms 1", "direct 1"),
            ("精通简体中文的专业译者.*terms 2", "direct 2"),
            ("根据直接翻译的结果.*direct 1.*terms 1", "faults 1"),
            ("根据直接翻译的结果.*direct 2.*terms 2", "faults 2"),
            ("基于初次直接翻译的成果.*direct 1.*faults 1.*terms 1", "free 1"),
            ("基于初次直接翻译的成果.*direct 2.*faults 2.*terms 2", "free 2"),
        ),
        inputs={"input_text": BOOK},
        asked=(f"n{'a' * 100}{'b' * 50}\\n",),
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
    GAME_OF_TWO,
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


@in_module_loop
@pytest.mark.parametrize("app", RUNS, ids=[f"{n}-{app.file}" for n, app in enumerate(RUNS)])
async def test_an_export_runs_to_the_end(app: App, dify_place: Place, task_queue: str) -> None:
    with model_server(app) as server:
        ran = await dify_place.run(app, server, task_queue)
    assert isinstance(ran.status, Completed), ran.status
    assert app.check(ran.status.outputs), ran.status.outputs
    bodies = "\n".join(request.body for request in server.requests)
    assert all(text in bodies for text in app.asked), bodies
    if "answer" in ran.status.outputs:
        assert event_laws.streamed(ran.events) == ran.status.outputs["answer"]
    assert event_laws.faults(ran.events) == []


@in_module_loop
@pytest.mark.parametrize("slow", ["cba", "abc"])
async def test_answers_side_by_side_are_stored_as_they_are_streamed_whichever_model_is_quicker(
    slow: str, dify_place: Place, task_queue: str
) -> None:
    """The game asks two models at once, and has an answer behind each of them."""
    models = tuple(
        MockResponse(
            "POST",
            "/v1/chat/completions",
            match_body=asked,
            response_body=completion(said),
            delay_secs=0.5 if asked == slow else 0.0,
        )
        for asked, said in (("cba", "reversed"), ("abc", "plain"))
    )
    app = replace(GAME_OF_TWO, replies=(), pages=models)
    with model_server(app) as server:
        ran = await dify_place.run(app, server, task_queue)
    assert isinstance(ran.status, Completed), ran.status
    answer = ran.status.outputs["answer"]
    assert event_laws.streamed(ran.events) == answer
    assert answer.index("\nreversed") < answer.index("### T"), answer


@in_module_loop
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("jieba", "No module named 'jieba'"),
        ("json-repair", "No module named 'json_repair'"),
        ("腾讯云SubtitleInfo", "No module named 'requests'"),
    ],
)
async def test_code_that_needs_a_package_names_it(
    name: str, reason: str, dify_place: Place, task_queue: str
) -> None:
    app = App(name, lambda _: False)
    with model_server(app) as server:
        ran = await dify_place.run(app, server, task_queue)
    assert isinstance(ran.status, Failed)
    assert reason in ran.status.message
    assert event_laws.faults(ran.events) == []


def test_every_valid_export_is_run(shared: Path) -> None:
    names = {path.stem for path in (shared / "dify" / "apps").glob("*.yml")}
    valid = {name for name in names if not validated(drawn(name)).errors}
    assert valid == {app.file for app in RUNS}
