"""Diagnostics: what validation finds, all of it at once (spec/graph.md 2)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Level = Literal["error", "warning"]


class Diagnostic(BaseModel):
    """One finding. ``code`` starts with E for an error and W for a warning, and never changes."""

    model_config = ConfigDict(frozen=True)

    level: Level
    code: str
    message: str
    node_id: str | None = None
    edge_id: str | None = None
    field_path: str | None = None
    line: int | None = None


class Report(BaseModel):
    """All findings about one workflow. Invalid iff at least one is an error."""

    model_config = ConfigDict(frozen=True)

    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def is_valid(self) -> bool:
        return not any(d.level == "error" for d in self.diagnostics)

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(d for d in self.diagnostics if d.level == "error")

    def to_json(self) -> dict[str, Any]:
        return {
            "is_valid": self.is_valid,
            "diagnostics": [d.model_dump(exclude_none=True) for d in self.diagnostics],
        }


def finding(  # noqa: PLR0913
    code: str,
    message: str,
    *,
    node: str | None = None,
    edge: str | None = None,
    field: str | None = None,
    line: int | None = None,
) -> Diagnostic:
    """Make a diagnostic; the level follows from the code's first letter."""
    level: Level = "error" if code.startswith("E") else "warning"
    return Diagnostic(
        level=level,
        code=code,
        message=message,
        node_id=node,
        edge_id=edge,
        field_path=field,
        line=line,
    )
