"""How values and failures travel to and from Temporal: one converter for clients and workers.

A foreign client needs none of it: values are the JSON of ``temporalio.contrib.pydantic``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DefaultFailureConverter, PayloadConverter


class TracelessFailureConverter(DefaultFailureConverter):
    """Leaves stack traces out of histories: they name a worker's paths, to whoever reads a run.

    The SDK writes them to the worker's log: those of activities and of workflow tasks as warnings,
    that of a workflow which ends as failed in debug.
    """

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        super().to_failure(exception, payload_converter, failure)
        failure.stack_trace = ""
        # one that came from elsewhere is copied with its causes
        cause = failure
        while cause.HasField("cause"):
            cause = cause.cause
            cause.stack_trace = ""


DATA_CONVERTER: Final = replace(
    pydantic_data_converter, failure_converter_class=TracelessFailureConverter
)
