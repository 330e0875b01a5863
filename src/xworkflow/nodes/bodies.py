"""The body of a container, as its data model reads it."""

from __future__ import annotations

from typing import Annotated, Any, cast

from pydantic import BeforeValidator, ValidationError

from xworkflow.domain.loading.bodies import body_of
from xworkflow.domain.loading.findings import Findings
from xworkflow.domain.loading.shapes import ShapeError
from xworkflow.domain.schema import SubGraph


def _read(raw: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    """A body as the loaders leave it; of one with a wrong shape, what is wrong with it."""
    if not isinstance(raw, dict):
        return raw
    try:
        return SubGraph.model_validate(raw)
    except ValidationError:
        try:
            return body_of(cast("dict[str, Any]", raw), Findings({}))
        except ShapeError as error:
            raise ValueError(str(error)) from None


BodyField = Annotated[SubGraph, BeforeValidator(_read)]
