"""Deterministic shells: what runs inside Temporal's workflow sandbox, and nothing else."""

from xworkflow.workflows.governor import GovernorWorkflow
from xworkflow.workflows.run import GraphWorkflow
from xworkflow.workflows.subgraph import SubGraphWorkflow
from xworkflow.workflows.yields import YieldsWorkflow

__all__ = ["GovernorWorkflow", "GraphWorkflow", "SubGraphWorkflow", "YieldsWorkflow"]
