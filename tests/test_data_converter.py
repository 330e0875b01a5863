"""What travels: values as pydantic's JSON, failures without the paths of a worker."""

from __future__ import annotations

from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

from xworkflow.data_converter import DATA_CONVERTER
from xworkflow.domain.outcome import RunResult

FAILURES = DATA_CONVERTER.failure_converter
PAYLOADS = DATA_CONVERTER.payload_converter


def raised() -> ApplicationError:
    """An error with a cause, both with a traceback."""
    try:
        try:
            raise ValueError("inner")  # noqa: TRY301 - it is the cause
        except ValueError as inner:
            raise ApplicationError(
                "outer", {"a": 1}, type="outer_error", non_retryable=True
            ) from inner
    except ApplicationError as error:
        return error


def converted(error: BaseException) -> Failure:
    failure = Failure()
    FAILURES.to_failure(error, PAYLOADS, failure)
    return failure


def test_an_error_and_its_causes_travel_without_stack_traces() -> None:
    failure = converted(raised())
    assert (failure.message, failure.cause.message) == ("outer", "inner")
    assert (failure.stack_trace, failure.cause.stack_trace) == ("", "")


def test_all_else_of_an_error_travels() -> None:
    back = FAILURES.from_failure(converted(raised()), PAYLOADS)
    assert isinstance(back, ApplicationError)
    assert (back.message, back.type, back.non_retryable) == ("outer", "outer_error", True)
    assert list(back.details) == [{"a": 1}]
    assert isinstance(back.cause, ApplicationError)
    assert (back.cause.message, back.cause.type) == ("inner", "ValueError")


def test_an_error_that_another_worker_sent_loses_its_traces_on_the_way_on() -> None:
    sent = Failure(message="theirs", stack_trace="/their/path")
    sent.application_failure_info.type = "x"
    sent.cause.message = "deeper"
    sent.cause.stack_trace = "/their/path"
    sent.cause.application_failure_info.type = "y"
    failure = converted(FAILURES.from_failure(sent, PAYLOADS))
    assert (failure.message, failure.cause.message) == ("theirs", "deeper")
    assert b"path" not in failure.SerializeToString()


def test_a_model_travels_as_its_json() -> None:
    result = RunResult(status="completed", outputs={"n": 1})
    (payload,) = PAYLOADS.to_payloads([result])
    assert payload.metadata["encoding"] == b"json/plain"
    assert PAYLOADS.from_payloads([payload], [RunResult]) == [result]
