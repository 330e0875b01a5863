import asyncio, sys
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from xworkflow.embedded.server import start_server
from tests.workflows.bench import Bench, kind
from tests.workflows.drawing import *
from xworkflow.testing.mock_server import *
async def main():
    async with start_server() as server:
        client=await Client.connect(server.address, data_converter=pydantic_data_converter)
        bench=Bench(client,"q")
        with MockServer((MockResponse("GET","/ok",response_body="fine"),)) as web:
          async with bench.worker():
            asking = form("ask", "name", timeout_secs=6, timeout_action="default_value", timeout_default_values={"name": "nobody"})
            calls = [http(f"h{i}", f"{web.url}/ok") for i in range(6)]
            schema = graph(
                "continued",
                [start(), asking, *calls,
                 gather("g", {"type": "all"}, "ask.name", "h0.body", timeout_secs=3), end(r="g.results")],
                "start > ask", "start > h0", *(f"h{i} > h{i + 1}" for i in range(5)), "h0 > g", "ask > g",
                "g > end", "h5 > end",
            )
            h=await bench.start(schema, continue_as_new_after_events=20)
            try: print(await asyncio.wait_for(h.wait(),15))
            except Exception as e: print(repr(e))
            rid=h.first_run_id; n=0
            while rid and n<6:
                n+=1
                hist=await client.get_workflow_handle(h.execution_id, run_id=rid).fetch_history()
                print("--",rid,len(hist.events)); rid=None
                for e in hist.events:
                    print("  ",e.event_id,kind(e))
                    if 'continued_as_new' in kind(e): rid=e.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
            await h.cancel()
        await bench.group.aclose()
asyncio.run(main())
