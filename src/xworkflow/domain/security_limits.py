"""Limits of a security level that hold while a run is under way, as data (spec/runtime.md 6).

Admitted with the run and kept with it, so that a later change of the group never changes a replay.
What an activity enforces comes from the group itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field

from xworkflow.domain.selectors import Selector
from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeError, NodeFailure

_KIB = 1024
_MIB = 1024 * 1024


class _Limits(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class TemplateSafetyConfig(_Limits):
    """Of one render of a Jinja2 template; lengths are bytes.

    ``max_loop_iterations`` counts those of all loops together, ``max_recursion_depth`` how deep
    macros, blocks and recursive loops may call one another.
    """

    max_template_length: int = 10_000
    max_output_length: int = 100_000
    max_recursion_depth: int = 5
    max_loop_iterations: int = 1000
    disabled_filters: tuple[str, ...] = ()
    disabled_functions: tuple[str, ...] = ()

    @classmethod
    def strict(cls) -> Self:
        return cls(
            max_template_length=5000,
            max_output_length=50_000,
            max_recursion_depth=3,
            max_loop_iterations=100,
            disabled_filters=("debug",),
            disabled_functions=("range",),
        )


class SelectorValidation(_Limits):
    """Which selectors may be used; ``*`` among the prefixes, or none at all, are all of them."""

    allowed_prefixes: frozenset[str] = frozenset({"sys", "env"})
    max_depth: int = 5
    max_length: int = 256

    def too_deep(self, selector: Selector) -> bool:
        return len(selector) > self.max_depth

    def too_long(self, selector: Selector) -> bool:
        return len(".".join(selector)) > self.max_length

    def foreign(self, selector: Selector) -> bool:
        allowed = self.allowed_prefixes
        return bool(allowed) and "*" not in allowed and selector[0] not in allowed

    def allows(self, selector: Selector) -> bool:
        return not (self.too_deep(selector) or self.too_long(selector) or self.foreign(selector))


class NodeLimits(_Limits):
    """Of one attempt of a node of one type: seconds and bytes; None is no limit."""

    max_execution_time: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    max_output_bytes: Annotated[int, Field(ge=0)] | None = None
    max_memory_bytes: Annotated[int, Field(gt=0)] | None = None


def _standard_limits() -> dict[str, NodeLimits]:
    return _node_limits((30, _MIB, 32 * _MIB), (30, 10 * _MIB), (120, _MIB), (5, 512 * _KIB))


def _strict_limits() -> dict[str, NodeLimits]:
    return _node_limits((10, 256 * _KIB, 16 * _MIB), (10, _MIB), (60, 256 * _KIB), (2, 128 * _KIB))


def _node_limits(
    code: tuple[int, int, int], http: tuple[int, int], llm: tuple[int, int], text: tuple[int, int]
) -> dict[str, NodeLimits]:
    def limits(seconds: int, output: int, memory: int | None = None) -> NodeLimits:
        return NodeLimits(
            max_execution_time=seconds, max_output_bytes=output, max_memory_bytes=memory
        )

    return {
        "code": limits(*code),
        "http-request": limits(*http),
        "llm": limits(*llm),
        "template-transform": limits(*text),
    }


class SecurityLimits(_Limits):
    """All of them; the default is no limit at all."""

    template: TemplateSafetyConfig | None = None
    selectors: SelectorValidation | None = None
    node_limits: dict[str, NodeLimits] = Field(default_factory=dict[str, NodeLimits])

    @classmethod
    def standard(cls) -> Self:
        return cls(template=TemplateSafetyConfig(), node_limits=_standard_limits())

    @classmethod
    def strict(cls) -> Self:
        return cls(template=TemplateSafetyConfig.strict(), node_limits=_strict_limits())

    def of_type(self, node_type: str) -> NodeLimits:
        return self.node_limits.get(node_type) or NodeLimits()

    def seconds(self, node_type: str, drawn: float | None) -> float | None:
        """The time limit of an attempt: the shorter of the node's own and its type's."""
        limit = self.of_type(node_type).max_execution_time
        return limit if drawn is None else drawn if limit is None else min(drawn, limit)

    def check_outputs(self, node_id: str, node_type: str, outputs: Mapping[str, Any]) -> None:
        """Raises OutputTooLargeError: the sum of the JSON sizes of all outputs is over the limit.

        It fails the run: no retry and no error strategy of the node applies (1.6).
        """
        limit = self.of_type(node_type).max_output_bytes
        if limit is not None:
            size = sum(len(json.dumps(v, ensure_ascii=False).encode()) for v in outputs.values())
            if size > limit:
                raise OutputTooLargeError(node_id, limit, size)

    def guarded(self, values: Readable) -> Readable:
        """The values, where a selector that is not allowed reads as null."""
        return values if self.selectors is None else GuardedValues(values, self.selectors)


OUTPUT_TOO_LARGE: Final = "output_too_large"


class OutputTooLargeError(NodeError):
    """A node gave more than its type may."""

    def __init__(self, node_id: str, limit: int, size: int) -> None:
        text = f"Output too large for node {node_id} (max {limit} bytes, got {size} bytes)"
        super().__init__(
            NodeFailure(
                code=OUTPUT_TOO_LARGE,
                text=text,
                severity="fatal",
                metadata={"max": limit, "actual": size},
            )
        )


class Readable(Protocol):
    """Values by selector: a pool, or what crossed to an activity."""

    def get(self, selector: Selector) -> JsonValue: ...


class GuardedValues:
    """Values behind a ``SelectorValidation``."""

    def __init__(self, values: Readable, rules: SelectorValidation) -> None:
        self._values = values
        self._rules = rules

    def get(self, selector: Selector) -> JsonValue:
        return self._values.get(selector) if self._rules.allows(selector) else None
