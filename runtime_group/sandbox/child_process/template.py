"""Templates whose cost cannot be bounded beforehand, rendered where they can do no harm."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import minijinja

from xworkflow.domain.jinja import render
from xworkflow.domain.security_limits import TemplateSafetyConfig
from xworkflow.domain.selectors import Dialect
from xworkflow.errors import NodeError

from .serving import failure, reply, serve

_DIALECTS: tuple[Dialect, ...] = ("native", "dify")
_WARMING = (
    "{{ a }}",
    "{{ a",
    "{{ a.b.c }}",
    "{{ a + [] }}",
    "{% for x in [1] %}{{ loop.index }}{% endfor %}",
    "{% set l = [] %}{% set _ = l.append(1) %}{{ '%s' % a }}{{ 'a b'|truncate(2)|wordwrap(1) }}",
)


class Templates:
    """The engine: xworkflow's own renderer, which keeps no state between calls."""

    reads_to_start: ClassVar[tuple[str, ...]] = (str(Path(minijinja.__file__).parent),)
    reads_to_run: ClassVar[tuple[str, ...]] = ()
    executes: ClassVar[tuple[str, ...]] = ()
    forks: ClassVar[bool] = False
    may_keep_bytes: ClassVar[int] = 64 * 1024 * 1024

    def __init__(self) -> None:
        """Render well and badly in each dialect once: nothing can be imported later."""
        safety = TemplateSafetyConfig.model_validate_json("{}")
        for dialect in _DIALECTS:
            for template in _WARMING:
                with suppress(NodeError):
                    render(template, {"a": 1}, dialect, max_output_bytes=10)
                with suppress(NodeError):
                    render(template, {"a": 1}, dialect, max_output_bytes=10, safety=safety)

    def prepare(self) -> None:
        """Nothing to do."""

    def run(self, request: dict[str, Any]) -> bytes:
        safety = request.get("safety")
        try:
            text = render(
                request["code"],
                json.loads(request["inputs"]),
                request["dialect"],
                max_output_bytes=request["max_output_bytes"],
                safety=TemplateSafetyConfig.model_validate_json(safety) if safety else None,
            )
        except NodeError as error:
            return failure(error.failure.code, error.failure.text)
        return reply(json.dumps(text), "")


def main() -> None:
    serve(Templates)
