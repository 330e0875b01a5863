"""What one message from a worker to Temporal can hold, seen from the workflow.

The server takes payloads of 2 MB and messages of 4 MB. A workflow task whose completion is larger
is refused and done again, for ever; so what a region reported has to be gone before much more is
said, and a run that would have to say too much at once fails.
"""

from __future__ import annotations

from typing import Final, NoReturn

from pydantic import BaseModel
from temporalio import workflow
from temporalio.exceptions import ApplicationError

from xworkflow.domain.pool_size import estimate
from xworkflow.domain.values import JsonValue
from xworkflow.domain.wire import NodeReport, RunInput

FLUSHES: Final = "large-reports-leave-their-task"
"""The patch under which local nodes become activities behind large reports."""
MAX_PAYLOAD_BYTES: Final = 2 * 1024 * 1024 - 1024
_CLEARLY_SMALL: Final = 512 * 1024
_MOST_UNSENT: Final = 512 * 1024


class Unsent:
    """The bytes that regions have reported since something last came from the server: their
    markers wait for the end of the workflow task."""

    def __init__(self) -> None:
        self._bytes = 0

    @property
    def size(self) -> int:
        return self._bytes

    @property
    def is_much(self) -> bool:
        return self._bytes > _MOST_UNSENT

    def add(self, report: NodeReport) -> None:
        if report.result is not None:
            self._bytes += estimate(report.result.outputs, _MOST_UNSENT)

    def sent(self) -> None:
        self._bytes = 0


def check_payload(what: str, payload: BaseModel, *parts: JsonValue) -> int:
    """About the bytes of what is sent. Raises ApplicationError ``output_too_large`` for what the
    server would not take.

    ``parts`` are where its size is: they are looked at before it is written as JSON.
    """
    guess = sum(estimate(part, _CLEARLY_SMALL) for part in parts)
    if guess <= _CLEARLY_SMALL:
        return guess
    size = len(payload.model_dump_json().encode(errors="replace"))
    if size > MAX_PAYLOAD_BYTES:
        raise ApplicationError(
            f"{what} too large (max {MAX_PAYLOAD_BYTES} bytes, got {size} bytes)",
            type="output_too_large",
            non_retryable=True,
        )
    return size


def continue_as_new(following: RunInput) -> NoReturn:
    """Go on in a new history. Raises ApplicationError ``output_too_large`` where what the run
    carries along is more than a history can begin with."""
    check_payload(
        "The values that the run carries into its next history are", following, following.state
    )
    workflow.continue_as_new(following)
