"""Lends workflows the audit log of their group, for what they refuse themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from temporalio.worker import (
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from xworkflow.domain.wire import AUDIT_FUNCTION
from xworkflow.ports import AuditLogger
from xworkflow.runtime_group.credentials import DEFAULT_GROUP
from xworkflow.runtime_group.group import RuntimeGroup


class RunAudit(Interceptor):
    """Takes records from the threads of workflows, and writes them in ``loop``."""

    def __init__(self, group: RuntimeGroup, loop: asyncio.AbstractEventLoop) -> None:
        self._logger: AuditLogger | None = group.audit
        self._group_id = group.group_id or DEFAULT_GROUP
        self._loop = loop

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002 - the SDK's name
    ) -> type[WorkflowInboundInterceptor] | None:
        if self._logger is not None:
            input.unsafe_extern_functions[AUDIT_FUNCTION] = self._tell  # pyright: ignore[reportUnknownMemberType]
        return None

    def _tell(self, record: Mapping[str, Any]) -> None:
        if self._logger is not None and not self._loop.is_closed():
            told = {"timestamp": time.time(), "group_id": self._group_id, **record}
            self._loop.call_soon_threadsafe(self._logger.log_event, told)
