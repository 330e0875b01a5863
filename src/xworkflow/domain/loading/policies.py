"""What a node says of its own failures: error strategy, retries, time limit (6.2, 6.3).

A wrong one is a finding at its node, which then loads without it: E217, or in native bodies W013.
"""

from __future__ import annotations

import math
from typing import Final, TypeVar, cast

from pydantic import BaseModel, ValidationError

from xworkflow.domain.loading.findings import Findings
from xworkflow.domain.loading.shapes import Object
from xworkflow.domain.schema import ErrorStrategy, RetryConfig
from xworkflow.domain.values import JsonValue, is_number

OWN_TIMEOUT: Final = frozenset({"gather", "human-input"})
"""Types whose ``timeout_secs`` is their own, and no limit of an attempt (spec/graph.md 1.3)."""

P = TypeVar("P", bound=BaseModel)


class Policies:
    """Reads the policies of one node, drawn as objects; each is None where absent or wrong."""

    def __init__(self, data: Object, node: str, findings: Findings, code: str = "E217") -> None:
        self.data = data
        self.code = code
        self.node = node
        self.findings = findings

    def error_strategy(self) -> ErrorStrategy | None:
        return self.validated(ErrorStrategy, "error_strategy", self.data.get("error_strategy"))

    def retry_config(self) -> RetryConfig | None:
        return self.validated(RetryConfig, "retry_config", self.data.get("retry_config"))

    def timeout_secs(self) -> float | None:
        """Seconds for each attempt."""
        if self.data.get("type") in OWN_TIMEOUT:
            return None
        raw = self.data.get("timeout_secs")
        if raw is None or (is_number(raw) and 0 <= cast("float", raw) < math.inf):
            return raw
        self.wrong("timeout_secs", "timeout_secs must be a number of seconds")
        return None

    def validated(self, model: type[P], key: str, raw: JsonValue) -> P | None:
        """A policy by its model, which takes no text for a number."""
        if raw is None:
            return None
        try:
            return model.model_validate(raw, strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in (key, *first["loc"]))
            self.wrong(field, f"{field}: {first['msg']}")
            return None

    def wrong(self, field: str, message: str) -> None:
        self.findings.add(self.code, message, node=self.node, field=field, at=self.data)
