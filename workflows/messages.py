"""What one payload from a workflow to Temporal can hold.

A workflow task that sends a larger one is refused and done again, for ever; so a run that would
have to fails. What many of them hold together is counted in ``room.py``.
"""

from __future__ import annotations

from typing import Final, NoReturn

from pydantic import BaseModel
from temporalio import workflow
from temporalio.exceptions import ApplicationError

from xworkflow.domain.packing import PAYLOAD_BYTES
from xworkflow.domain.pool_size import estimate
from xworkflow.domain.security_limits import OUTPUT_TOO_LARGE
from xworkflow.domain.values import JsonValue
from xworkflow.domain.wire import RunInput

MAX_PAYLOAD_BYTES: Final = PAYLOAD_BYTES - 1024
_CLEARLY_SMALL: Final = 512 * 1024


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
            type=OUTPUT_TOO_LARGE,
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
