"""Failures under the names that Dify's exports branch on."""

from __future__ import annotations

import pytest

from xworkflow.domain.dify_error_types import dify_error_type
from xworkflow.errors import NodeFailure


@pytest.mark.parametrize(
    ("node_type", "failure", "name"),
    [
        ("code", NodeFailure(code="sandbox_timeout", text=""), "CodeExecutionError"),
        ("code", NodeFailure(code="output_validation_error", text=""), "OutputValidationError"),
        ("code", NodeFailure.of_kind("config_error", ""), "CodeNodeError"),
        ("http-request", NodeFailure.of_kind("http_error", ""), "HttpRequestNodeError"),
        (
            "http-request",
            NodeFailure(code="http_client_error", text="", http_status=404),
            "HTTPResponseCodeError",
        ),
        ("llm", NodeFailure(code="network_error", text=""), "InvokeConnectionError"),
        ("llm", NodeFailure(code="x", text="", http_status=429), "InvokeRateLimitError"),
        ("llm", NodeFailure(code="x", text="", http_status=503), "InvokeServerUnavailableError"),
        (
            "question-classifier",
            NodeFailure(code="x", text="", http_status=401),
            "InvokeAuthorizationError",
        ),
        ("llm", NodeFailure(code="NoPromptFoundError", text=""), "NoPromptFoundError"),
        ("template-transform", NodeFailure(code="template_error", text=""), "template_error"),
    ],
)
def test_a_failure_has_the_name_that_dify_gives_it(
    node_type: str, failure: NodeFailure, name: str
) -> None:
    assert dify_error_type(node_type, failure) == name
