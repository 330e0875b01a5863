"""The names under which Dify's apps know failures: what ``error_type`` says (spec/dify.md E1).

Exports branch on them. What has no name of Dify's keeps the engine's own code.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from xworkflow.errors import NodeFailure

_BY_CODE: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "code": {
            "output_validation_error": "OutputValidationError",
            "config_error": "CodeNodeError",
            "type_error": "CodeNodeError",
            "timeout": "CodeExecutionError",
        },
        "http-request": {
            "http_client_error": "HTTPResponseCodeError",
            "http_server_error": "HTTPResponseCodeError",
            "http_error": "HttpRequestNodeError",
            "timeout": "HttpRequestNodeError",
        },
    }
)
_OF_MODELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "network_error": "InvokeConnectionError",
        "timeout": "InvokeConnectionError",
        "variable_not_found": "VariableNotFoundError",
    }
)
_MODEL_TYPES: Final = ("llm", "question-classifier")
_UNAUTHORIZED: Final = (401, 403)
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500


def dify_error_type(node_type: str, failure: NodeFailure) -> str:
    """The name of a failure in Dify's dialect."""
    if node_type == "code" and failure.code.startswith("sandbox_"):
        return "CodeExecutionError"
    if node_type not in _MODEL_TYPES:
        return _BY_CODE.get(node_type, {}).get(failure.code, failure.code)
    if failure.http_status is not None:
        return _of_status(failure.http_status)
    return _OF_MODELS.get(failure.code, failure.code)


def _of_status(status: int) -> str:
    """What a model's server meant."""
    if status == _TOO_MANY:
        return "InvokeRateLimitError"
    if status in _UNAUTHORIZED:
        return "InvokeAuthorizationError"
    return "InvokeServerUnavailableError" if status >= _SERVER_ERROR else "InvokeBadRequestError"
