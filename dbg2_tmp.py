import asyncio
import logging
import sys
from random import Random

from temporalio import workflow
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

import tests.workflows.recording as R
from tests.properties.nested_graphs import *
from tests.properties.nested_naive import interpret
from tests.workflows.bench import Bench, kind
from tests.workflows.reckoner import Reckoner
from tests.workflows.test_nested_graphs import *
from tests.workflows.test_nested_graphs import Drawn, by_workflow, check_result, read, run
from xworkflow.domain.commands import Emit
from xworkflow.embedded.server import start_server
from xworkflow.workflows.shell import Shell

rec = R.Recording()
perform = Shell._perform


def listening(self, effects):
    for _, e in effects:
        if isinstance(e, Emit):
            rec.note(workflow.info().workflow_id, e.event, replays=workflow.unsafe.is_replaying())
    perform(self, effects)


Shell._perform = listening


async def main(seed, n, most):
    async with start_server() as server:
        client = await Client.connect(server.address, data_converter=pydantic_data_converter)
        bench = Bench(client, "q")
        with Reckoner() as rk:
            async with bench.worker():
                nest = Drawer(Random(seed), max_nodes=4).draw()
                d = Drawn(seed, nest, interpret(nest, INPUTS))
                for i in range(n):
                    t = await asyncio.wait_for(
                        run(bench, d, rk.url, continue_as_new_after_events=most), 60
                    )
                    try:
                        check_result(t)
                    except AssertionError as e:
                        print("RESULT", e)
                    closed = await read(t.handle)
                    for seen, what in ((t.live, "live"), (closed, "closed")):
                        found = by_workflow(seen)
                        ids = {k for k in rec.emitted if k.split("/")[0] == t.handle.execution_id}
                        for w in sorted({*ids, *found}):
                            a, b = found.get(w, []), rec.of(w)
                            if a != b:
                                print(what, "DIFF", w.split("/", 1)[1:], len(a), len(b))
                                for x, y in zip(a, b):
                                    if x != y:
                                        print(
                                            "  reader",
                                            x.seq,
                                            x.at,
                                            x.type,
                                            x.data.get("node_id"),
                                            x.data.get("path"),
                                        )
                                        print(
                                            "  ran   ",
                                            y.seq,
                                            y.at,
                                            y.type,
                                            y.data.get("node_id"),
                                            y.data.get("path"),
                                        )
                                        break
                                else:
                                    for y in (b[len(a) :] or a[len(b) :])[:4]:
                                        print(
                                            "   more",
                                            y.seq,
                                            y.at,
                                            y.type,
                                            y.data.get("node_id"),
                                            y.data.get("path"),
                                        )
                                if what == "closed":
                                    h = await client.get_workflow_handle(w).fetch_history()
                                    for e in h.events:
                                        print(
                                            "     ",
                                            e.event_id,
                                            kind(e),
                                            e.event_time.ToMilliseconds() % 100000,
                                            str(e.marker_recorded_event_attributes.details.keys())
                                            if "marker" in kind(e)
                                            else "",
                                        )
        await bench.group.aclose()


logging.basicConfig(level=logging.WARNING)
asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
