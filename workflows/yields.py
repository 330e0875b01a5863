"""``YieldsWorkflow``: hears that runs give their places back, for a ledger that is no workflow.

A run tells by a signal, as it can do nothing else that lasts; this passes it on by an activity that
is tried until it is done, so a place is given back also when the process that hears of it dies. One
for each group that needs it, and idle while nobody waits for people.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from xworkflow.domain.governing import YIELD_SIGNAL, YIELDED_ACTIVITY, YIELDS_WORKFLOW, RunEnds


@workflow.defn(name=YIELDS_WORKFLOW)
class YieldsWorkflow:
    """Never ends by itself; ``given`` are those that the history before has left."""

    @workflow.init
    def __init__(self, given: tuple[RunEnds, ...] = ()) -> None:
        self._given = list(given)

    @workflow.run
    async def run(self, given: tuple[RunEnds, ...] = ()) -> None:
        """Pass on what has come, all at once, until the history is long."""
        del given  # __init__ has it
        while not workflow.info().is_continue_as_new_suggested():
            await workflow.wait_condition(lambda: bool(self._given))
            ends, self._given = tuple(self._given), []
            await workflow.execute_activity(
                YIELDED_ACTIVITY,
                ends,
                start_to_close_timeout=timedelta(seconds=10),
                retry_policy=RetryPolicy(
                    initial_interval=timedelta(milliseconds=200),
                    maximum_interval=timedelta(seconds=5),
                ),
            )
        workflow.continue_as_new(tuple(self._given))

    @workflow.signal(name=YIELD_SIGNAL)
    def yield_slot(self, end: RunEnds) -> None:
        """A run only waits for people now."""
        self._given.append(end)
