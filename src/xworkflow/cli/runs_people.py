"""``xworkflow runs waiting`` and ``answer``: what runs ask people, and what people say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from xworkflow.cli.app import run_async
from xworkflow.cli.exit_codes import ExitCode
from xworkflow.cli.input_options import Address, AsJson, RunId, WatchOption
from xworkflow.cli.printing import print_json, print_note
from xworkflow.cli.runs_commands import carried_on, open_run
from xworkflow.errors import InputError

if TYPE_CHECKING:
    from xworkflow.client.handle import WorkflowHandle
    from xworkflow.client.standing import Standing
    from xworkflow.domain.wire import Waiting

WAITING = """
Show the questions of a run that wait for a person, with their forms and how to answer.

**Exit codes:** 0, also when there are none · 2 there is no such run · 3 no server

**Examples**

    xworkflow runs waiting order-4711
    xworkflow runs waiting order-4711 --json
"""
ANSWER = """
Answer a question of a run. The first answer that fits its form wins; one that does not fit is
refused with the reasons, and the run goes on waiting.

A field's value is a text, or JSON where the field is a number, a checkbox, a list, a file or JSON.
At a terminal, and without any value, the fields are asked for one by one. On the server of this
machine the run is then carried on and watched like `run` does it; elsewhere a worker carries it,
and `--wait` watches.

**Exit codes:** 0 taken · 2 refused · 3 no server · where the run is watched, those of `run`

**Examples**

    xworkflow runs answer order-4711 --set comment="Looks good" --set stars=5
    xworkflow runs answer order-4711 --node approval --decision approve --set comment=ok
    xworkflow runs answer order-4711 --action send --no-wait
"""


def register(runs: typer.Typer) -> None:
    @runs.command("waiting", help=WAITING)
    def waiting_command(
        execution_id: RunId, address: Address = None, as_json: AsJson = False
    ) -> int:
        return run_async(waiting(execution_id, address, as_json=as_json))

    @runs.command("answer", help=ANSWER)
    def answer_command(  # noqa: PLR0913
        execution_id: RunId,
        *,
        node: Annotated[
            str | None, typer.Option(metavar="NODE", help="Which question, by its node.")
        ] = None,
        token: Annotated[
            str | None, typer.Option(metavar="TOKEN", help="Which question, by its token.")
        ] = None,
        values: Annotated[
            list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="A field.")
        ] = None,
        decision: Annotated[
            str | None, typer.Option(metavar="approve|reject", help="Of an approval.")
        ] = None,
        action: Annotated[
            str | None, typer.Option(metavar="ID", help="The button of a form of Dify.")
        ] = None,
        address: Address = None,
        wait: WatchOption = None,
        as_json: AsJson = False,
    ) -> int:
        said = Said(values or [], decision, action)
        choice = Choice(node, token)
        return run_async(answer(execution_id, address, choice, said, wait=wait, as_json=as_json))


class Choice:
    """Which of a run's questions is meant."""

    def __init__(self, node: str | None, token: str | None) -> None:
        self._node = node
        self._token = token

    def of(self, questions: tuple[Waiting, ...], execution_id: str) -> Waiting:
        """The one that is meant. Raises InputError."""
        found = [
            question
            for question in questions
            if self._node in (None, question.node_id) and self._token in (None, question.token)
        ]
        if not found:
            which = f" at '{self._node}'" if self._node else " with this token" * bool(self._token)
            asked = ", ".join(sorted({q.node_id for q in questions}))
            others = f"; it does at {asked}" if asked else ""
            raise InputError((f"run '{execution_id}' waits for nobody{which}{others}",))
        if len(found) > 1:
            raise InputError(
                tuple(f"which one? --node {q.node_id} --token {q.token}" for q in found)
            )
        return found[0]


class Said:
    """What was said on the command line."""

    def __init__(self, pairs: list[str], decision: str | None, action: str | None) -> None:
        self._pairs = pairs
        self._decision = decision
        self._action = action

    @property
    def is_empty(self) -> bool:
        return not (self._pairs or self._decision or self._action)

    def to(self, question: Waiting) -> dict[str, Any]:
        """The parts of the answer to a question. Raises InputError."""
        from xworkflow.cli.questions import fields_of

        types = {field.name: field.type for field in fields_of(question)}
        form_data: dict[str, Any] = {}
        for pair in self._pairs:
            name, equals, text = pair.partition("=")
            if not equals or not name:
                raise InputError((f"--set '{pair}' is not of the form field=value",))
            form_data[name] = _value(name, text, types.get(name))
        return {"form_data": form_data, "decision": self._decision, "action": self._action}


async def waiting(execution_id: str, address: str | None, *, as_json: bool) -> int:
    """Exit code 0. No worker is asked."""
    from xworkflow.cli.place import server_place
    from xworkflow.cli.questions import print_question

    async with server_place(address) as place:
        standing = await _read(await place.get(execution_id))
    if as_json:
        print_json([question.model_dump(mode="json") for question in standing.waiting])
        return ExitCode.OK
    for question in standing.waiting:
        print_question(question, execution_id, place.as_option)
    if not standing.waiting:
        print_note(f"run '{execution_id}' waits for nobody")
    return ExitCode.OK


async def answer(  # noqa: PLR0913 - one for each part of the command line
    execution_id: str,
    address: str | None,
    choice: Choice,
    said: Said,
    *,
    wait: bool | None,
    as_json: bool,
) -> int:
    """Exit code 0, or that of the run that was watched."""
    from xworkflow.cli.questions import ask, print_question
    from xworkflow.cli.watch import at_terminal

    async with open_run(execution_id, address) as (handle, place):
        standing = await _read(handle)
        question = choice.of(standing.waiting, execution_id)
        parts = said.to(question)
        if said.is_empty and at_terminal():
            print_question(question, execution_id, place.as_option)
            parts = ask(question)
        await handle.answer(question, **parts)
        print_note(f"answered: {question.title or question.node_id}")
        return await carried_on(handle, place, standing, wait=wait, as_json=as_json)


async def _read(handle: WorkflowHandle) -> Standing:
    from xworkflow.client.standing import read_standing

    return await read_standing(handle)


def _value(name: str, text: str, kind: str | None) -> object:
    from xworkflow.cli.files import json_of, value_of
    from xworkflow.cli.questions import TEXTS

    if kind is None:
        return value_of(text)
    if kind in TEXTS:
        return text
    try:
        return json_of(text)
    except ValueError:
        raise InputError((f"--set {name}: '{text}' is not JSON, but {name} is a {kind}",)) from None
