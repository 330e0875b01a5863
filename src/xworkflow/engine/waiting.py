"""The questions that wait for people, as whoever answers them sees them. Pure."""

from __future__ import annotations

from xworkflow.domain.wire import Waiting
from xworkflow.engine.carrier import Carrier


def waiting_of(carrier: Carrier, workflow_id: str) -> tuple[Waiting, ...]:
    """Those of one workflow, in the order in which they were asked."""
    return tuple(
        Waiting(
            workflow_id=workflow_id,
            node_id=driver.plan.nodes[int(key)].id,
            title=driver.plan.nodes[int(key)].title,
            token=asked.token,
            resume_mode=asked.form.resume_mode,
            form_schema=asked.form.form_schema,
            prompt_text=asked.form.prompt_text,
            timeout_at=driver.state.running[key].due_at,
            defaults=asked.form.defaults,
        )
        for driver in carrier.lanes.values()
        for key, asked in driver.state.asked.items()
    )
