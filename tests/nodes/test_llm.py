"""The llm node: the prompt that it makes, what it asks, and what it makes of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.nodes.conftest import (
    FakeDeltas,
    FakeFiles,
    FakeHttp,
    FakeProvider,
    FakeProviders,
    FakeSandbox,
    node,
    pool,
    ports,
)
from xworkflow.domain.chat import ChatRequest, ChatResponse, ImagePart, Message, Part, TextPart
from xworkflow.domain.results import LlmUsage, NodeRunResult
from xworkflow.domain.selectors import Dialect
from xworkflow.domain.streams import CHUNKS, pieces_at
from xworkflow.domain.values import to_file
from xworkflow.errors import NodeError, NodeFailure
from xworkflow.nodes.base import CrossedValues
from xworkflow.nodes.llm import Llm
from xworkflow.nodes.llm_answer import Visible, separated
from xworkflow.ports import LlmProvider, StreamingLlmProvider
from xworkflow.providers import FakeTimeProvider
from xworkflow.testing.fake_llm import FakeLlm

MODEL = {"provider": "openai", "name": "gpt-4o"}
PNG = to_file({"type": "image", "url": "http://files/a.png"})
PDF = to_file({"type": "document", "url": "http://files/a.pdf"})
LOCAL = to_file({"type": "image", "transfer_method": "local_file", "upload_file_id": "u1.png"})
VALUES = pool(
    start={
        "q": "why",
        "none": None,
        "context": "facts",
        "url": "http://i/1.png",
        "urls": ["http://i/1.png", 5, "", "data:image/png;base64,AA=="],
        "history": [{"role": r, "text": t} for r, t in [("user", "a"), ("Assistant", "b")]],
        "image": PNG,
        "files": [PNG, PDF, LOCAL],
        "found": [{"content": "one", "title": "t"}, "{{#start.q#}}"],
    },
    sys={"query": "now", "files": [PNG]},
)


def user(text: str) -> dict[str, str]:
    return {"role": "user", "text": text}


def drawn(dialect: Dialect = "native", **data: Any) -> Any:
    return node("llm", dialect, **({"model": MODEL} | data))


async def executed(
    dialect: Dialect = "native", lent: dict[str, Any] | None = None, **data: Any
) -> tuple[NodeRunResult, ChatRequest]:
    """Run with nothing but what the node says that it reads."""
    llm, made = Llm(), drawn(dialect, **data)
    selectors = [selector for _, selector in llm.selectors(made)]
    selectors += llm.hidden_reads(made)
    values = CrossedValues({selector: VALUES.get(selector) for selector in selectors})
    provider = FakeProvider()
    given: dict[str, Any] = {"llm": FakeProviders(provider), **(lent or {})}
    result = await llm.execute(made, values, ports(**given))
    return result, provider.asked[0]


async def messages(dialect: Dialect = "native", **data: Any) -> tuple[Message, ...]:
    return (await executed(dialect, **data))[1].messages


async def failure(dialect: Dialect = "native", **data: Any) -> NodeFailure:
    with pytest.raises(NodeError) as caught:
        await executed(dialect, **data)
    return caught.value.failure


# --- the native prompt


async def test_references_in_prompts_are_filled_and_roles_have_any_case() -> None:
    prompt = [{"role": " System ", "text": "be {{#start.none#}}brief"}, user("{{#start.q#}}?")]
    assert await messages(prompt_template=prompt) == (
        Message("system", "be brief"),
        Message("user", "why?"),
    )


async def test_a_role_that_no_model_knows_is_a_config_error() -> None:
    failed = await failure(prompt_template=[{"role": "boss", "text": ""}])
    assert (failed.code, failed.text) == (
        "config_error",
        "Configuration error: Unsupported role: boss",
    )


async def test_strict_templates_refuse_a_missing_value() -> None:
    failed = await failure(
        lent={"strict_template": True}, prompt_template=[user("{{#start.none#}}")]
    )
    assert failed.code == "variable_not_found"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (
            [user("u"), {"role": "system", "text": "s"}],
            (Message("user", "u"), Message("system", "s\nfacts")),
        ),
        ([user("u")], (Message("system", "facts"), Message("user", "u"))),
    ],
)
async def test_context_ends_the_first_system_message_or_becomes_it(
    prompt: Any, expected: tuple[Message, ...]
) -> None:
    context = {"enabled": True, "variable_selector": ["start", "context"]}
    assert await messages(prompt_template=prompt, context=context) == expected


@pytest.mark.parametrize(
    "context",
    [
        None,
        {"enabled": False, "variable_selector": ["start", "context"]},
        {"enabled": True},
        {"enabled": True, "variable_selector": "start.none"},
    ],
)
async def test_a_context_that_is_off_or_empty_is_left_out(context: Any) -> None:
    assert await messages(prompt_template=[user("u")], context=context) == (Message("user", "u"),)


@pytest.mark.parametrize(
    ("window", "told"), [(None, ["a", "b"]), (0, ["a", "b"]), (1, ["b"]), (9, ["a", "b"])]
)
async def test_memory_comes_first_and_ends_with_its_window(
    window: int | None, told: list[str]
) -> None:
    memory = {"enabled": True, "window_size": window, "variable_selector": "start.history"}
    found = await messages(prompt_template=[user("u")], memory=memory)
    assert [message.content for message in found] == [*told, "u"]
    assert found[-2].role == "assistant"


@pytest.mark.parametrize("selector", ["start.q", "start.none", None])
async def test_memory_that_is_no_list_is_ignored(selector: str | None) -> None:
    memory = {"enabled": True, "variable_selector": selector}
    assert await messages(prompt_template=[user("u")], memory=memory) == (Message("user", "u"),)


async def test_memory_with_a_bad_item_is_a_serialisation_error() -> None:
    memory = {"enabled": True, "variable_selector": "start.urls"}
    assert (await failure(prompt_template=[], memory=memory)).code == "serialization_error"


@pytest.mark.parametrize(
    ("selector", "urls"),
    [
        ("start.url", ["http://i/1.png"]),
        ("start.urls", ["http://i/1.png", "data:image/png;base64,AA=="]),
        ("start.image", ["http://files/a.png"]),
        ("start.none", []),
    ],
)
async def test_vision_adds_a_last_message_of_images(selector: str, urls: list[str]) -> None:
    vision = {"enabled": True, "variable_selector": selector, "detail": "low"}
    found = await messages(prompt_template=[user("u")], vision=vision)
    assert found[0] == Message("user", "u")
    assert found[1:] == (
        (Message("user", tuple(ImagePart(url, "low") for url in urls)),) if urls else ()
    )


async def test_an_image_that_the_network_policy_refuses_fails_the_node_and_is_audited() -> None:
    log = _Log()
    http = FakeHttp(refused="http://i/1.png")
    lent = {"http": http, "audit_logger": log, "group_id": "g", "time": FakeTimeProvider(5)}
    vision = {"enabled": True, "variable_selector": "start.url"}
    failed = await failure(lent=lent, vision=vision)
    assert failed.code == "input_validation_error"
    (event,) = log.events
    assert (event["event_type"], event["severity"]) == ("SsrfBlocked", "Warning")
    assert (event["host"], event["rule"]) == ("i", "denied_domains")
    assert "1.png" not in str(event)  # paths and queries may hold secrets


# --- what is asked


async def test_parameters_are_sent_under_their_names() -> None:
    params = {"temperature": 0, "max_output_tokens": 9, "stop": ["x"], "seed": None, "top_k": 4}
    _, request = await executed(model=MODEL | {"completion_params": params})
    assert (request.model, request.temperature, request.top_p, request.max_tokens) == (
        "gpt-4o", 0.0, None, 9,
    )  # fmt: skip
    assert request.parameters == {"stop": ["x"], "top_k": 4}


@pytest.mark.parametrize(
    ("params", "sent"),
    [
        ({"response_format": {"type": "text"}}, {"type": "text"}),
        ({"response_format": "json_object"}, {"type": "json_object"}),
        (
            {"response_format": "json_schema", "json_schema": '{"name":"n"}'},
            {"type": "json_schema", "json_schema": {"name": "n"}},
        ),
    ],
)
async def test_a_response_format_may_be_a_word_as_in_dify(params: Any, sent: Any) -> None:
    _, request = await executed(model=MODEL | {"completion_params": params})
    assert request.parameters == {"response_format": sent}


async def test_the_call_carries_the_attempts_key() -> None:
    _, request = await executed(lent={"idempotency_key": "run/n/1"})
    assert request.idempotency_key == "run/n/1"


async def test_an_unknown_provider_fails_the_node() -> None:
    failed = await failure(model=MODEL | {"provider": "unknown"})
    assert failed.text == "Execution error: Provider not found: unknown"


@dataclass
class _Log:
    events: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])

    def log_event(self, event: Mapping[str, Any]) -> None:
        self.events.append(event)


@dataclass
class _Credentials:
    found: dict[str, str] | Exception
    group_id: str = "g"

    async def get_credentials(self, group_id: str, provider_name: str) -> Mapping[str, str]:
        assert (group_id, provider_name) == (self.group_id, "fake")
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


async def test_credentials_of_the_group_win_over_those_of_the_node() -> None:
    log = _Log()
    lent = {
        "credential_provider": _Credentials({"api_key": "group"}),
        "group_id": "g",
        "audit_logger": log,
        "time": FakeTimeProvider(5),
    }
    own = {"api_key": "node", "org_id": "o"}
    _, request = await executed(lent=lent, model=MODEL | {"credentials": own})
    assert request.credentials == {"api_key": "group", "org_id": "o"}
    assert log.events == [
        {
            "timestamp": 5,
            "group_id": "g",
            "node_id": "n",
            "event_type": "CredentialAccess",
            "severity": "Info",
            "provider": "fake",
            "success": True,
        }
    ]


async def test_credentials_that_cannot_be_had_fail_the_node_without_their_text() -> None:
    log = _Log()
    lent = {
        "credential_provider": _Credentials(RuntimeError("vault says sk-1")),
        "group_id": "g",
        "audit_logger": log,
        "time": FakeTimeProvider(5),
    }
    failed = await failure(lent=lent)
    assert failed.code == "execution_error"
    assert failed.text == "Execution error: no credentials for 'fake': RuntimeError"
    assert (log.events[0]["severity"], log.events[0]["success"]) == ("Warning", False)


async def test_a_group_without_a_name_is_asked_for_as_default() -> None:
    lent = {"credential_provider": _Credentials({"api_key": "group"}, "default")}
    _, request = await executed(lent=lent, model=MODEL | {"credentials": {"api_key": "node"}})
    assert request.credentials == {"api_key": "group"}


# --- the answer

USAGE = {
    "prompt_tokens": 1,
    "completion_tokens": 2,
    "total_tokens": 3,
    "total_price": 0.0,
    "currency": "",
    "latency": 0.0,
}


async def test_native_outputs_are_text_and_usage() -> None:
    result, _ = await executed()
    assert result.outputs == {"text": "hello", "usage": USAGE}
    assert result.metadata == {"model": "m-1", "provider": "openai"}
    assert result.llm_usage == LlmUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3)


async def test_dify_outputs_say_how_the_answer_ended() -> None:
    result, _ = await executed("dify", prompt_template=[user("u")])
    assert result.outputs == {
        "text": "hello",
        "reasoning_content": "",
        "usage": USAGE,
        "finish_reason": "stop",
    }


async def outputs_of(content: str, **data: Any) -> dict[str, Any]:
    answering = FakeProvider(ChatResponse(content, LlmUsage(), "m"))
    lent: dict[str, Any] = {"llm": FakeProviders(answering)}
    llm, made = Llm(), drawn("dify", prompt_template=[user("u")], **data)
    return (await llm.execute(made, VALUES, ports(**lent))).outputs


@pytest.mark.parametrize(
    ("content", "text", "reasoning"),
    [
        ("<think>a</think> b", "b", "a"),
        ("x<think>a</think>y<think>b</think>", "xy", "a\nb"),
        ("<think>never closed", "<think>never closed", ""),
        (" plain ", " plain ", ""),
        ("<think>" * 100_000, "<think>" * 100_000, ""),
    ],
)
async def test_reasoning_is_separated_where_it_is_asked_for(
    content: str, text: str, reasoning: str
) -> None:
    outputs = await outputs_of(content, reasoning_format="separated")
    assert (outputs["text"], outputs["reasoning_content"]) == (text, reasoning)
    assert (await outputs_of(content, reasoning_format="tagged"))["text"] == content


@pytest.mark.parametrize("content", ['{"a":1}', '```json\n{"a":1}\n```', ' {"a": 1} '])
async def test_a_schema_makes_the_answer_an_object(content: str) -> None:
    outputs = await outputs_of(content, output_schema={"type": "object"})
    assert outputs["structured_output"] == {"a": 1}


@pytest.mark.parametrize("content", ["hello", "[1]", ""])
async def test_an_answer_that_is_no_object_fails_a_node_with_a_schema(content: str) -> None:
    with pytest.raises(NodeError) as caught:
        await outputs_of(content, output_schema={"type": "object"})
    assert caught.value.failure.code == "OutputParserError"


async def test_a_schema_is_sent_along() -> None:
    _, request = await executed_with_schema()
    assert request.parameters["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "output", "schema": {"type": "object"}},
    }


async def executed_with_schema() -> tuple[Any, ChatRequest]:
    provider = FakeProvider(ChatResponse("{}", LlmUsage(), "m"))
    llm, made = Llm(), drawn("dify", prompt_template=[user("u")], output_schema={"type": "object"})
    result = await llm.execute(made, VALUES, ports(llm=FakeProviders(provider)))
    return result, provider.asked[0]


# --- Dify's prompt


async def test_context_goes_where_the_prompt_names_it_and_is_not_read_again() -> None:
    context = {"enabled": True, "variable_selector": ["start", "found"]}
    prompt = [{"role": "system", "text": "[{{#context#}}]"}, user("{{#start.q#}}")]
    assert await messages("dify", prompt_template=prompt, context=context) == (
        Message("system", "[one\n{{#start.q#}}]"),
        Message("user", "why"),
    )


async def test_a_context_that_no_text_names_is_not_told() -> None:
    context = {"enabled": True, "variable_selector": ["start", "context"]}
    assert await messages("dify", prompt_template=[user("u")], context=context) == (
        Message("user", "u"),
    )


async def test_a_context_of_a_wrong_shape_fails() -> None:
    context = {"enabled": True, "variable_selector": ["start", "history"]}
    failed = await failure("dify", prompt_template=[user("{{#context#}}")], context=context)
    assert failed.code == "InvalidContextStructureError"


async def test_memory_is_told_between_the_prompt_and_the_question() -> None:
    memory = {"enabled": True, "variable_selector": "start.history", "window_size": 1}
    prompt = [{"role": "system", "text": "s"}]
    assert await messages("dify", prompt_template=prompt, memory=memory) == (
        Message("system", "s"),
        Message("assistant", "b"),
        Message("user", "now"),
    )


async def test_a_node_with_memory_asks_with_its_own_words() -> None:
    memory = {"enabled": True, "query_prompt_template": "{{#sys.query#}} / {{#start.q#}}"}
    assert await messages("dify", prompt_template=[], memory=memory) == (
        Message("user", "now / why"),
    )


async def test_histories_and_query_are_words_of_the_completion_form() -> None:
    memory = {"enabled": True, "variable_selector": "start.history"}
    prompt = [user("{{#histories#}}\nHuman: {{#query#}}")]
    found = await messages("dify", prompt_template=prompt, memory=memory)
    assert found == (
        Message("user", "Human: a\nAssistant: b\nHuman: now"),
        Message("user", "now"),
    )


async def test_a_bounded_jinja_text_is_rendered_at_once() -> None:
    sandbox = FakeSandbox("rendered")
    text = {"role": "user", "edition_type": "jinja2", "jinja2_text": "{{ q|upper }}", "text": "x"}
    config = {"jinja2_variables": [{"variable": "q", "value_selector": ["start", "q"]}]}
    found = await executed(
        "dify", {"sandbox": sandbox}, prompt_template=[text], prompt_config=config
    )
    assert found[1].messages == (Message("user", "WHY"),)
    assert sandbox.returned == []


async def test_another_jinja_text_is_rendered_in_a_sandbox() -> None:
    sandbox = FakeSandbox("rendered")
    template = "{% set x = q %}{{ x }}"
    text = {"role": "user", "edition_type": "jinja2", "jinja2_text": template}
    config = {"jinja2_variables": [{"variable": "q", "value_selector": ["start", "q"]}]}
    found = await executed(
        "dify", {"sandbox": sandbox}, prompt_template=[text], prompt_config=config
    )
    assert found[1].messages == (Message("user", "dify:rendered"),)
    assert sandbox.vms["template"].calls[0][:2] == (template, {"q": "why"})
    assert sandbox.returned == ["template"]


IMAGE = ImagePart("http://files/a.png", "high")


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ([user("u")], (Message("user", (IMAGE, TextPart("u"))),)),
        (
            [{"role": "system", "text": "s"}],
            (Message("system", "s"), Message("user", (IMAGE,))),
        ),
    ],
)
async def test_images_of_the_message_go_before_the_last_text_of_the_user(
    prompt: Any, expected: tuple[Message, ...]
) -> None:
    vision = {"enabled": True, "variable_selector": ["sys", "files"], "detail": "high"}
    assert await messages("dify", prompt_template=prompt, vision=vision) == expected


async def test_files_in_a_text_print_nothing_and_their_images_follow() -> None:
    vision = {"enabled": True, "detail": "high"}
    files = FakeFiles({"u1.png": b"\x01\x02"})
    found = await executed(
        "dify", {"files": files}, prompt_template=[user("see {{#start.files#}}")], vision=vision
    )
    parts: tuple[Part, ...] = (IMAGE, ImagePart("data:image/png;base64,AQI=", "high"))
    assert found[1].messages == (Message("user", "see "), Message("user", parts))


async def test_an_image_without_a_type_is_known_by_its_first_bytes() -> None:
    files = FakeFiles({"u1.png": b"GIF89a"})
    local = {**cast("dict[str, Any]", LOCAL), "mime_type": "application/octet-stream"}
    llm = Llm()
    made = drawn(vision={"enabled": True, "variable_selector": "x.f"})
    provider = FakeProvider()
    lent = ports(llm=FakeProviders(provider), files=files)
    await llm.execute(made, pool(x={"f": local}), lent)
    (part,) = cast("tuple[ImagePart]", provider.asked[0].messages[0].content)
    assert part.url.startswith("data:image/gif;base64,")


async def test_without_vision_files_are_not_sent() -> None:
    assert await messages("dify", prompt_template=[user("see {{#start.files#}}")]) == (
        Message("user", "see "),
    )


async def test_empty_messages_are_left_out_and_at_least_one_is_needed() -> None:
    prompt = [{"role": "system", "text": ""}, user("{{#start.none#}}u")]
    assert await messages("dify", prompt_template=prompt) == (Message("user", "u"),)
    failed = await failure("dify", prompt_template=prompt[:1])
    assert failed.code == "NoPromptFoundError"


# --- streams


async def streamed(
    dialect: Dialect = "native",
    provider: LlmProvider | None = None,
    *,
    asked: bool = True,
    **data: Any,
) -> tuple[NodeRunResult, list[tuple[str, str]]]:
    deltas = FakeDeltas()
    provider = provider or FakeLlm("hel", "lo", "")
    lent: dict[str, Any] = {"llm": FakeProviders(provider), "deltas": deltas, "stream": asked}
    drawing = {"stream": True, "prompt_template": [user("hi")]} | data
    made = drawn(dialect, **drawing)
    result = await Llm().execute(made, VALUES, ports(**lent))
    return result, deltas.pieces


async def test_a_stream_gives_the_outputs_of_a_blocking_call_and_its_pieces_beside_them() -> None:
    result, deltas = await streamed()
    usage = LlmUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
    assert result.outputs == {
        "text": "hello",
        "usage": usage.model_dump(),
        CHUNKS: {"text": [3, 2, 0]},
    }
    assert result.llm_usage == usage
    assert deltas == [("text", "hel"), ("text", "lo"), ("text", "")]
    assert pieces_at(pool(n=result.outputs).get, ("n", "text")) == ("hel", "lo", "")


async def test_a_provider_that_cannot_stream_gives_one_piece() -> None:
    result, deltas = await streamed(provider=FakeProvider())
    assert result.outputs[CHUNKS] == {"text": [5]}
    assert deltas == [("text", "hello")]


async def test_a_stream_that_fails_fails_its_node() -> None:
    failure = NodeFailure(code="network_error", text="cut", retryable=True)
    with pytest.raises(NodeError) as caught:
        await streamed(provider=FakeLlm("hel", failure=failure))
    assert caught.value.failure == failure


async def test_the_native_dialect_streams_as_it_is_drawn() -> None:
    result, deltas = await streamed(stream=False)
    assert (CHUNKS in result.outputs, deltas) == (False, [])
    result, deltas = await streamed(asked=False)
    assert (CHUNKS in result.outputs, len(deltas)) == (True, 3)


async def test_dify_streams_when_somebody_reads_along() -> None:
    result, deltas = await streamed("dify", stream=False)
    assert result.outputs["text"] == "hello"
    assert result.outputs[CHUNKS] == {"text": [3, 2, 0]}
    assert len(deltas) == 3
    result, deltas = await streamed("dify", asked=False)
    assert (CHUNKS in result.outputs, deltas) == (False, [])


@pytest.mark.parametrize(
    ("pieces", "shown", "text"),
    [
        (("<thi", "nk>a</th", "ink>\n", "so: ", "b"), ["so:", " b"], "so: b"),
        (("so ", "<think>a</think>", "b\n"), ["so", " b"], "so b"),
        (("a <", "b"), ["a", " <b"], "a <b"),
        (("a", " "), ["a"], "a "),
        (("x<think>", "never closed"), ["x"], "x<think>never closed"),
    ],
)
async def test_reasoning_that_is_separated_is_not_streamed(
    pieces: tuple[str, ...], shown: list[str], text: str
) -> None:
    provider = FakeLlm(*pieces)
    result, deltas = await streamed("dify", provider, reasoning_format="separated")
    assert [piece for _, piece in deltas] == shown
    assert result.outputs["text"] == text
    whole = pieces_at(pool(n=result.outputs).get, ("n", "text"))
    assert whole is not None
    assert list(whole)[: len(shown)] == shown


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<th", "ink>", " ", "a", "\n"]), max_size=9)
)
def test_what_is_shown_of_an_answer_begins_what_is_left_of_it(pieces: list[str]) -> None:
    visible = Visible()
    shown = "".join(visible.of(piece) for piece in pieces)
    left = separated("".join(pieces))[0]
    # the one exception is white space at the very beginning: whether it is left depends on whether
    # a thought comes to an end later
    assert left.lstrip().startswith(shown.lstrip())


def test_the_public_fake_is_a_provider_that_streams() -> None:
    assert isinstance(FakeLlm(), StreamingLlmProvider)
    assert not isinstance(FakeProvider(), StreamingLlmProvider)


def test_which_nodes_stream() -> None:
    assert Llm().streams(drawn(stream=True))
    assert not Llm().streams(drawn())
    assert Llm().streams(drawn("dify"))


# --- validation


def test_streaming_is_valid() -> None:
    assert list(Llm().check(drawn(stream=True))) == []


def test_a_selector_that_is_too_deep_is_refused_where_it_is_used() -> None:
    context = {"enabled": True, "variable_selector": ["start", "a", "b"]}
    (found,) = Llm().check(drawn(context=context))
    assert (found.code, found.field_path) == ("E217", "context.variable_selector")
    assert list(Llm().check(drawn("dify", context=context))) == []
    assert list(Llm().check(drawn(context=context | {"enabled": False}))) == []


def test_a_jinja_text_with_a_syntax_error_is_refused() -> None:
    text = {"role": "user", "edition_type": "jinja2", "jinja2_text": "{{ a"}
    (found,) = Llm().check(drawn("dify", prompt_template=[text]))
    assert (found.code, found.field_path) == ("E501", "prompt_template[0].jinja2_text")


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"model": {"provider": "p"}},
        {"model": MODEL, "prompt_template": "text"},
        {"model": MODEL, "prompt_template": [{"text": "no role"}]},
        {"model": MODEL | {"completion_params": {"temperature": "hot"}}},
        {"model": MODEL, "memory": {"enabled": True, "variable_selector": {"a": 1}}},
    ],
)
def test_a_drawing_without_sense_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        node("llm", **data)


def test_validation_looks_at_prompts_in_difys_dialect_only() -> None:
    prompt = [user("{{#start.q#}}")]
    dify = drawn("dify", prompt_template=prompt, memory={"enabled": True})
    texts = dict(cast("Any", Llm().texts(dify)))
    assert texts["prompt_template[0].text"] == "{{#start.q#}}"
    assert list(Llm().texts(drawn(prompt_template=prompt))) == []
