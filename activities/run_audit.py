"""Lends workflows the audit log of their group, for what they refuse themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from temporalio.worker import (
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from xworkflow.domain.wire import AUDIT_FUNCTION, DEFAULT_GROUP
from xworkflow.runtime_group.group import RuntimeGroup


class RunAudit(Interceptor):
    """Takes records from the threads of workflows, and writes them in ``loop`` to the log that
    their group has now."""

    def __init__(self, group: Callable[[], RuntimeGroup], loop: asyncio.AbstractEventLoop) -> None:
        self._group = group
        self._loop = loop

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002 - the SDK's name
    ) -> type[WorkflowInboundInterceptor] | None:
        input.unsafe_extern_functions[AUDIT_FUNCTION] = self._tell  # pyright: ignore[reportUnknownMemberType]
        return None

    def _tell(self, record: Mapping[str, Any]) -> None:
        group = self._group()
        if group.audit is not None and not self._loop.is_closed():
            group_id = group.group_id or DEFAULT_GROUP
            told = {"timestamp": time.time(), "group_id": group_id, **record}
            self._loop.call_soon_threadsafe(group.audit.log_event, told)
