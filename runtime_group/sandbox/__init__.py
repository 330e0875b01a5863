"""Sandboxes: code and screened-out templates run in disposable child processes (spec/runtime.md 2).

The walk of one script: ``pool`` lends a VM (``vms``) out of its bounded set of processes
(``slots``); ``process`` talks with the child and kills it when it is over a limit; what runs inside
is in ``child_process``. The worker's own process never runs, parses or even loads an engine.
"""

from xworkflow.runtime_group.sandbox.budget import ProcessBudget
from xworkflow.runtime_group.sandbox.pool import DefaultSandboxPool, PythonTier2
from xworkflow.runtime_group.sandbox.stats import LanguageStats, SandboxStats

__all__ = ["DefaultSandboxPool", "LanguageStats", "ProcessBudget", "PythonTier2", "SandboxStats"]
