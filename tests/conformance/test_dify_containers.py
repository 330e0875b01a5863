"""Exports of ours, drawn as Dify draws them: iterations and loops with all that their bodies hold.

The files are those of ``exports/``; what each is about stands at its head.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import event_laws
from tests.conformance.dify_apps import (
    SERVER,
    App,
    Check,
    Place,
    drawn,
    is_output,
    model_server,
)
from xworkflow.client.status import Completed
from xworkflow.engine.validation import validated
from xworkflow.testing.mock_server import MockResponse

pytestmark = [pytest.mark.temporal, pytest.mark.conformance]
in_module_loop = pytest.mark.asyncio(loop_scope="module")

EXPORTS = Path(__file__).parent / "exports"
PICTURE = {"type": "image", "transfer_method": "remote_url", "url": "https://f/pic.png"}
LOGO = {"type": "custom", "transfer_method": "remote_url", "url": "https://f/logo.svg"}
DOCUMENT = {"type": "document", "transfer_method": "remote_url", "url": "https://f/b.pdf"}
FILES = [
    {**DOCUMENT, "filename": "b.pdf", "size": 9, "mime_type": "application/pdf"},
    {**PICTURE, "filename": "pic.png", "size": 5, "mime_type": "image/png"},
    {**LOGO, "filename": "logo.svg", "size": 7, "extension": ".svg"},
]


def are(**wanted: Any) -> Check:
    return lambda outputs: outputs == wanted


def export(file: str, check: Check, **given: Any) -> App:
    return App(file, check, folder=EXPORTS, **given)


def summaries(found: Mapping[str, Any]) -> bool:
    texts = ("one long text", "b", "c", "d", "e", "f")
    raw = [{"at": n, "text": f"S{text}", "key": f"K{text}"} for n, text in enumerate(texts)]
    lines = [f"{n + 1}) S{text} [K{text}]" for n, text in enumerate(texts)]
    return found == {"raw": raw, "list": "\n".join(lines)}


RUNS = (
    export(
        "nested_iterations",
        are(
            tables=[
                {"name": "one", "lines": ["0.0 one 1 1", "0.1 one 2 4"]},
                {"name": "none", "lines": []},
                {"name": "two", "lines": ["2.0 two 3 9"]},
            ]
        ),
    ),
    export(
        "old_iteration",
        are(lines=["1. LONG", None, "3. LOW"]),
        system={"words": ["long", "short", "low"]},
    ),
    export(
        "error_modes",
        are(nulls=[6, None, 2.4], drops=[6, 2.4], falls=["6", "CodeExecutionError at 1", "2"]),
        system={"numbers": [2, 0, 5]},
        exceptions=3,
    ),
    export(
        "loop_variables",
        are(
            count=3,
            text="set",
            words=["zero", "w0", "w1", "w2"],
            numbers=[0, 1, 2],
            things=[{"n": 0, "of": 1}, {"n": 1, "of": 2}, {"n": 2, "of": 3}],
            last={"n": 2, "of": 3},
            even=True,
            kept="kept",
            half=4,
            rounds=3,
        ),
        inputs={"first": "go"},
    ),
    export(
        "guessing",
        is_output("answer", "not 2\nnot 4\nfound 8\n3 rounds for q: [1,2,4]"),
        query="q",
    ),
    export(
        "conversation_variables",
        is_output("answer", '|4.5|{"b":[2]}|["a","hey","hey"]\n[2.5]|[{"b":[2]}]|true|[true,true]'),
        query="hey",
    ),
    export(
        "files",
        is_output(
            "answer",
            '["[pic.png]","[logo.svg]","(b.pdf, 9, application/pdf)"] b.pdf pic.png',
        ),
        system={"files": FILES},
        inputs={"one": FILES[0]},
    ),
    export(
        "loop_end_in_iteration",
        are(sum=24, rounds=3, loop_round=3),
        system={"steps": [1, 2]},
    ),
    export(
        "draft_and_review",
        are(draft="C", log=["T #0 0", "A #1 1", "B #2 2"], rounds=3),
        replies=(("improve T #0 0", "A"), ("improve A #1 1", "B"), ("improve B #2 2", "C")),
        inputs={"topic": "T"},
    ),
    export(
        "answers_in_iteration",
        is_output("answer", 'sun rain?\n+sun\n-rain\n["good","bad"]'),
        replies=(
            ("user[^}]*sun", '{"category_id": "1"}'),
            ("user[^}]*rain", '{"category_id": 1700000000000}'),
        ),
        query="sun rain",
    ),
    export(
        "requests",
        are(
            got=[{"n": 1, "status": 200}, {"n": 2, "status": 200}, {"n": 0, "status": 0}],
        ),
        inputs={"base": SERVER},
        system={"pages": ["one", "flaky", "gone"]},
        pages=(
            MockResponse(
                "GET", "/one?n=0", match_headers={"X-Token": "s3cret"}, response_body='{"n": 1}'
            ),
            MockResponse("GET", "/flaky?n=1", response_status=500, expect=1),
            MockResponse("GET", "/flaky?n=1", response_body='{"n": 2}'),
            MockResponse("GET", "/gone?n=2", response_status=404, expect=2),
        ),
        exceptions=1,
    ),
    export("leftovers", are(all=["hi a", "hi b"]), system={"words": ["a", "b"]}),
    export(
        "flattening",
        are(flat=["a", "b", "c"], deep=[["a"], ["b", "c"]], none=[]),
        system={"rows": [["a"], ["b", "c"]], "nothing": []},
    ),
    export(
        "many_summaries",
        summaries,
        replies=tuple(
            (f"{asked} {text}\\W", f"{letter}{text}")
            for asked, letter in (("sum up", "S"), ("key of", "K"))
            for text in ("one long text", "b", "c", "d", "e", "f")
        ),
        system={"texts": ["one long text", "b", "c", "d", "e", "f"]},
        asked=("be calm",),
    ),
    export("break_conditions", are(text="xxx", rounds=3)),
    export("loops_called_loop", are(item=33, rounds=3)),
    export(
        "pictures",
        is_output("answer", "0: a cat (3)\n1: a dog ()\n"),
        replies=(
            (r"/pic.png.*what is pic.png, number 0\?", '{"what": "a cat", "size": 3}'),
            (r"/dog.png.*what is dog.png, number 1\?", '```json\n{"what": "a dog"}\n```'),
        ),
        system={
            "files": [FILES[1], {**FILES[1], "url": "https://f/dog.png", "filename": "dog.png"}]
        },
    ),
    export("failing_loop", are(why="divided by zero"), exceptions=2),
)


@in_module_loop
@pytest.mark.parametrize("app", RUNS, ids=lambda app: app.file)
async def test_an_export_gives_what_dify_gives(
    app: App, dify_place: Place, task_queue: str
) -> None:
    with model_server(app) as server:
        ran = await dify_place.run(app, server, task_queue)
    assert isinstance(ran.status, Completed), ran.status
    assert app.check(ran.status.outputs), ran.status.outputs
    assert ran.status.exceptions == app.exceptions
    bodies = "\n".join(request.body for request in server.requests)
    assert all(text in bodies for text in app.asked), bodies
    if "answer" in ran.status.outputs:
        assert event_laws.streamed(ran.events) == ran.status.outputs["answer"]
    assert event_laws.faults(ran.events) == []


def test_every_export_is_valid_and_run() -> None:
    names = {path.stem for path in EXPORTS.glob("*.yml")}
    assert {name: validated(drawn(name, EXPORTS)).errors for name in names} == dict.fromkeys(
        names, ()
    )
    assert names == {app.file for app in RUNS}
