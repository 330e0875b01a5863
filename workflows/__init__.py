"""Deterministic shells: what runs inside Temporal's workflow sandbox, and nothing else."""

from xworkflow.workflows.run import GraphWorkflow
from xworkflow.workflows.subgraph import SubGraphWorkflow

__all__ = ["GraphWorkflow", "SubGraphWorkflow"]
