"""Which open runs hold a place, and which wait for one: their histories say so.

That is how a ledger is made anew that was lost. That runs are open is asked of Temporal's
visibility, which lags behind by a second or so.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.service import RPCError, RPCStatusCode

from xworkflow.domain.governing import YIELD_SIGNAL, RunAsks, UsageQuota
from xworkflow.domain.wire import GRAPH_WORKFLOW, SLOT_SIGNAL, RegionReport, RunInput, SlotGranted

_SIDE_BY_SIDE: Final = 16
_log = logging.getLogger("xworkflow.governor")
T = TypeVar("T")


@dataclass(slots=True)
class RunPlaces:
    """Each run as it asked last; those that wait in the order in which they began."""

    holders: list[RunAsks] = field(default_factory=list[RunAsks])
    waiting: list[RunAsks] = field(default_factory=list[RunAsks])


async def places_of_open_runs(client: Client, queue: str, quota: UsageQuota) -> RunPlaces:
    """Reads the histories of all open runs of a task queue."""
    query = (
        f"WorkflowType = '{GRAPH_WORKFLOW}' AND ExecutionStatus = 'Running' "
        f"AND TaskQueue = '{queue}'"
    )
    found = {run.id: run.start_time async for run in client.list_workflows(query)}
    side_by_side = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def read(run: str) -> Place:
        async with side_by_side:
            return await _read(client, run)

    read_all = await asyncio.gather(*(read(run) for run in found))
    places = RunPlaces()
    epoch = datetime.fromtimestamp(0, UTC)
    for run, place in sorted(
        zip(found, read_all, strict=True), key=lambda pair: found[pair[0]] or epoch
    ):
        ask = RunAsks(run=run, turn=place.turn, fair_key=place.key(quota))
        if place.held:
            places.holders.append(ask)
        elif place.waits:
            places.waiting.append(ask)
    return places


async def _read(client: Client, run: str) -> Place:
    place = Place(client.data_converter)
    try:
        async for event in client.get_workflow_handle(run).fetch_history_events():
            await place.take(event)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
    except Exception:  # noqa: BLE001 - what some client started must not hold all others up
        _log.exception("the history of run %s cannot be read; it is taken as far as it can", run)
    return place


class Place:
    """What one history tells, event by event: the last word counts."""

    def __init__(self, converter: DataConverter) -> None:
        self._converter = converter
        self._app = self._user = ""
        self._granted = -1
        self.turn = -1
        self.held = False
        self.waits = False

    def key(self, quota: UsageQuota) -> str:
        return {"app": self._app, "user": self._user}.get(quota.fair_by, "")

    async def take(self, event: HistoryEvent) -> None:
        if event.HasField("workflow_execution_started_event_attributes"):
            started = event.workflow_execution_started_event_attributes
            self._begin(await self._decode(started.input.payloads, RunInput))
        elif event.HasField("marker_recorded_event_attributes"):
            payloads = event.marker_recorded_event_attributes.details["result"].payloads
            if payloads:  # none of a region that was lost
                self._asked(await self._decode(payloads, RegionReport))
        elif event.HasField("workflow_execution_signaled_event_attributes"):
            signal = event.workflow_execution_signaled_event_attributes
            if signal.signal_name == SLOT_SIGNAL:
                self._told(await self._decode(signal.input.payloads, SlotGranted))
        elif event.HasField("signal_external_workflow_execution_initiated_event_attributes"):
            told = event.signal_external_workflow_execution_initiated_event_attributes
            if told.signal_name == YIELD_SIGNAL:
                self.held = False

    def _begin(self, run: RunInput) -> None:
        user = run.variables.system.get("user_id")
        self._app, self._user = run.app_name, user if isinstance(user, str) else ""
        if run.state is not None and run.fork is None:  # goes on from another history
            self.turn, self.held = run.slot_turn, not run.slot_away

    def _asked(self, report: RegionReport) -> None:
        if report.admission is None:
            return
        self.turn += 1
        # it may be told before it knows that it was queued
        self.held = report.admission.granted or self._granted >= self.turn
        self.waits = report.admission.queued and not self.held

    def _told(self, told: SlotGranted) -> None:
        self._granted = max(self._granted, told.turn)
        if self._granted >= self.turn and self.waits:
            self.held, self.waits = True, False

    async def _decode(self, payloads: Any, kind: type[T]) -> T:  # noqa: ANN401 - protobuf's
        (value,) = await self._converter.decode(payloads, [kind])
        return value
