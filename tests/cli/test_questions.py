"""Forms of both dialects as a terminal shows them, and answers that are typed."""

from __future__ import annotations

import io
from typing import Any

import pytest

from xworkflow.cli.questions import answering_line, ask, fields_of, print_question
from xworkflow.domain.wire import Waiting
from xworkflow.errors import InputError

NATIVE = Waiting(
    workflow_id="run",
    node_id="ask me",
    title="Ask",
    token="t",
    form_schema=[
        {"variable": "name", "field_type": "text", "required": True},
        {"variable": "stars", "field_type": "number", "required": True, "default_value": 3},
        {"variable": "size", "field_type": "dropdown", "options": [{"value": "S"}, {"value": "L"}]},
        {"variable": "tags", "field_type": "multi_select", "default_value": ["a"]},
    ],
    prompt_text="Who [red]are[/] you?\nReally?\x1b[31m",
    timeout_at=0,
    defaults={"stars": 3, "tags": ["a"]},
)
DIFY = Waiting(
    workflow_id="run",
    node_id="1711",
    title="Send?",
    token="t",
    form_schema={
        "form_content": "Dear {{#$outputs.who#}}",
        "inputs": [{"type": "paragraph", "output_variable_name": "who"}],
        "user_actions": [{"id": "send", "title": "Send it"}, {"id": "drop", "title": "Drop"}],
    },
)


def typed(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_a_native_form_is_shown_with_its_fields_and_obeys_no_markup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_question(NATIVE, "run", " --address here:1")
    title, first, second, *fields, line = capsys.readouterr().err.splitlines()
    assert title.startswith("? Ask (ask me) waits until 1970-01-01 ")
    assert (first, second) == ("  Who [red]are[/] you?", "  Really?\\x1b[31m")
    assert fields == [
        "  name text; required",
        "  stars number; default 3",
        "  size dropdown; one of S, L",
        "  tags multi_select; default ['a']",
    ]
    answer = "xworkflow runs answer run --node 'ask me' --set name=…"
    assert line == f"  answer with: {answer} --address here:1"


def test_a_form_of_dify_is_shown_with_its_text_and_buttons(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_question(DIFY, "run")
    assert capsys.readouterr().err.splitlines() == [
        "? Send? (1711) waits",
        "  Dear {{#$outputs.who#}}",
        "  who paragraph; required",
        "  send Send it",
        "  drop Drop",
        f"  answer with: {answering_line(DIFY, 'run')}",
    ]
    assert answering_line(DIFY, "run").endswith("--node 1711 --set who=… --action send|drop")


def test_an_approval_names_its_decisions() -> None:
    approval = NATIVE.model_copy(update={"resume_mode": "approval"})
    assert answering_line(approval, "run").endswith("--set name=… --decision approve|reject")


def test_options_are_texts_however_they_are_drawn() -> None:
    drawn: list[Any] = ["a", {"label": "b"}, {"name": "c"}, {"value": "d", "label": "D"}, {}]
    schema = {"inputs": [{"type": "select", "output_variable_name": "x", "options": drawn}]}
    (field,) = fields_of(Waiting(workflow_id="w", node_id="n", token="t", form_schema=schema))
    assert field.options == ("a", "b", "c", "d", "")


def test_fields_are_asked_for_one_by_one_and_nothing_keeps_the_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "12", "4.5", "", "")
    assert ask(NATIVE) == {"form_data": {"name": "12", "stars": 4.5}}
    assert capsys.readouterr().err == "name: stars (3): size: tags (['a']): "


def test_buttons_and_decisions_are_asked_for_last(monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, "Ada", "drop")
    assert ask(DIFY) == {"form_data": {"who": "Ada"}, "action": "drop"}
    typed(monkeypatch, "x", "", "", "", "reject")
    approval = NATIVE.model_copy(update={"resume_mode": "approval"})
    assert ask(approval) == {"form_data": {"name": "x"}, "decision": "reject"}


def test_an_answer_that_breaks_off_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, "Ada")
    with pytest.raises(InputError, match="the answer was not given"):
        ask(DIFY)
