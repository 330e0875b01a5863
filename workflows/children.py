"""Child workflows: chunks of containers, and the error handler. Starting, stopping, telling them.

A child may be stopped or told something before Temporal has said that it runs; what was asked of it
is then done right after. A child that never started would leave no event for readers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Generic, TypeVar

from temporalio import workflow
from temporalio.exceptions import (
    ApplicationError,
    CancelledError,
    ChildWorkflowError,
    FailureError,
    TerminatedError,
    WorkflowAlreadyStartedError,
)
from temporalio.exceptions import TimeoutError as TemporalTimeoutError

from xworkflow.domain.wire import ChildEnd, RunInput
from xworkflow.engine.compile import CompileError

R = TypeVar("R")


class Child(Generic[R]):
    """One child workflow; ``ended`` is called once, with its task. It starts when it has its
    ``turn``, where it has to wait for one."""

    def __init__(  # noqa: PLR0913, PLR0917 - what is started, and what for
        self,
        name: str,
        make: Callable[[], RunInput],
        result_type: type[R],
        child_id: str,
        ended: Callable[[asyncio.Task[R]], None],
        turn: asyncio.Future[None] | None = None,
    ) -> None:
        self._name = name
        self._make = make
        self._result_type = result_type
        self._id = child_id
        self._handle: workflow.ChildWorkflowHandle[Any, R] | None = None
        self._cancelled = False
        self._told: list[str] = []
        self._turn = turn
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(ended)

    def cancel(self) -> None:
        self._cancelled = True
        if self._handle is not None:
            self._handle.cancel()

    def tell(self, signal: str) -> None:
        """Send a signal without arguments; one that has ended needs to hear nothing."""
        if self._handle is None:
            self._told.append(signal)
        else:
            in_background(self._signal(self._handle, signal))

    async def _run(self) -> R:
        run = self._make()
        if self._turn is not None:
            await self._turn
        self._handle = await workflow.start_child_workflow(
            self._name,
            run,
            id=self._id,
            result_type=self._result_type,
            parent_close_policy=workflow.ParentClosePolicy.REQUEST_CANCEL,
            task_timeout=workflow.info().task_timeout,
            static_summary=run.app_name,
        )
        if self._cancelled:
            self._handle.cancel()
        for signal in self._told:
            await self._signal(self._handle, signal)
        return await self._handle

    async def _signal(self, handle: workflow.ChildWorkflowHandle[Any, R], name: str) -> None:
        with suppress(FailureError):  # it may have ended meanwhile
            await handle.signal(name)


_background: set[asyncio.Task[None]] = set()


def in_background(work: Coroutine[Any, Any, None]) -> None:
    """Do something whose end nobody waits for."""
    task = asyncio.create_task(work)
    _background.add(task)
    task.add_done_callback(_background.discard)


_ENDS: dict[type[BaseException], ChildEnd] = {
    CancelledError: ChildEnd.CANCELLED,
    TerminatedError: ChildEnd.TERMINATED,
    TemporalTimeoutError: ChildEnd.TIMED_OUT,
    WorkflowAlreadyStartedError: ChildEnd.NOT_STARTED,
}


def why_lost(error: BaseException) -> str:
    """Why a child gave no result. Any other error than these is ours, and fails the workflow
    task."""
    if isinstance(error, ChildWorkflowError) and error.cause is not None:
        error = error.cause
    if isinstance(error, ApplicationError):
        return error.message
    if isinstance(error, CompileError):
        return str(error)
    end = _ENDS.get(type(error))
    if end is None:
        raise error
    return end.value
