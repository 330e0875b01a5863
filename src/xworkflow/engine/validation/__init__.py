"""Validation: all that is wrong with a workflow, found before it starts (spec/graph.md 2). Pure."""

from xworkflow.engine.validation.validate import validate, validated

__all__ = ["validate", "validated"]
