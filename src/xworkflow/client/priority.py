"""How a run shares its group's task queue with others: by Temporal's priority, and inside one by
fairness keys.

Activities and sub-graphs inherit it. Servers that do not share by keys take no notice; which
setting turns it on stands in docs/operations.md.
"""

from __future__ import annotations

import hashlib
from typing import Final

from temporalio.common import Priority

from xworkflow.domain.wire import RunInput

_LONGEST_BYTES: Final = 64


def priority_of(run: RunInput) -> Priority:
    """One share for each app and user; runs that name neither share one. Before all that comes the
    priority that a run was given."""
    user = run.variables.system.get("user_id")
    parts = (run.app_name, user if isinstance(user, str) else "")
    given = run.options.priority
    if not any(parts):
        return Priority.default if given is None else Priority(priority_key=given)
    key = "/".join(parts)
    if len(key.encode()) > _LONGEST_BYTES:
        key = hashlib.sha256(key.encode()).hexdigest()
    return Priority(priority_key=given, fairness_key=key)
