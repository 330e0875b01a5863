"""Templates whose cost cannot be bounded beforehand, rendered where they can do no harm."""

import json
from typing import Any

from xworkflow.domain.jinja import render
from xworkflow.domain.security_limits import TemplateSafetyConfig
from xworkflow.errors import NodeError

from .serving import failure, reply, serve


class Templates:
    """The engine: xworkflow's own renderer, which keeps no state between calls."""

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
    serve(Templates())
