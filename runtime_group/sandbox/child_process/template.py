"""Templates whose cost cannot be bounded beforehand, rendered where they can do no harm."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import minijinja

from xworkflow.domain.jinja import render
from xworkflow.domain.selectors import Dialect
from xworkflow.errors import NodeError

from .serving import failure, reply, serve

_DIALECTS: tuple[Dialect, ...] = ("native", "dify")


class Templates:
    """The engine: xworkflow's own renderer, which keeps no state between calls."""

    reads_to_start: ClassVar[tuple[str, ...]] = (str(Path(minijinja.__file__).parent),)
    reads_to_run: ClassVar[tuple[str, ...]] = ()
    executes: ClassVar[tuple[str, ...]] = ()
    forks: ClassVar[bool] = False

    def __init__(self) -> None:
        """Render well and badly in each dialect once: nothing can be imported later."""
        for dialect in _DIALECTS:
            for template in ("{{ a }}", "{{ a", "{{ a.b.c }}", "{{ a + [] }}"):
                with suppress(NodeError):
                    render(template, {"a": 1}, dialect, max_output_bytes=10)

    def prepare(self) -> None:
        """Nothing to do."""

    def run(self, request: dict[str, Any]) -> bytes:
        try:
            text = render(
                request["code"],
                json.loads(request["inputs"]),
                request["dialect"],
                max_output_bytes=request["max_output_bytes"],
            )
        except NodeError as error:
            return failure(error.failure.code, error.failure.text)
        return reply(json.dumps(text), "")


def main() -> None:
    serve(Templates)
