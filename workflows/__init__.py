"""Deterministic shells: what runs inside Temporal's workflow sandbox, and nothing else."""

from xworkflow.workflows.run import GraphWorkflow

__all__ = ["GraphWorkflow"]
