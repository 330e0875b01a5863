"""What differs between the surroundings of a run and those of its fork (spec/graph.md 9.2).

As far as they travel with a run: its limits, the executors of its group and the level of security.
Models, credentials and networks belong to workers; what a worker lacks fails the node that asks.
"""

from __future__ import annotations

from collections.abc import Iterator

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.wire import RunInput

_LEVELS = ("permissive", "standard", "strict")


def run_changes(old: RunInput, new: RunInput) -> Iterator[Diagnostic]:
    """The findings; those that make a fork unsafe are errors. Pure."""
    for gone in sorted(old.executors.keys() - new.executors.keys()):
        yield _danger("F020", f"the run had an executor for the type '{gone}', the fork has none")
    yield from _security(old, new)
    if old.config != new.config:
        yield finding("F022", "the fork has limits of its own (engine config)")


def _security(old: RunInput, new: RunInput) -> Iterator[Diagnostic]:
    """Levels of named groups are asked for when a run starts, and do not travel before."""
    if old.policy is None or new.group_id is not None:
        return
    before, after = old.policy.security_level, new.policy and new.policy.security_level
    if after is None:
        yield _danger("F021", f"the run was secured ({before}), the fork is not")
    elif _LEVELS.index(after) < _LEVELS.index(before):
        yield _danger("F021", f"the run was secured as '{before}', the fork is only '{after}'")


def _danger(code: str, message: str) -> Diagnostic:
    return finding(code, message).model_copy(update={"level": "error"})
