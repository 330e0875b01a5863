import asyncio, sys, time, logging
logging.basicConfig(level=logging.WARNING)
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from xworkflow.embedded.server import start_server
from tests.workflows.bench import Bench, kind, kinds, history
from tests.workflows.drawing import *
async def main(n):
    async with start_server() as server:
        client=await Client.connect(server.address, data_converter=pydantic_data_converter)
        bench=Bench(client,"q")
        async with bench.worker():
            inner = body(begin("s"), node("t", "template-transform", template="x", variables=[]), finish("e", t="t.output"))
            schema = chain("rounds", start(), loop("lo", 1, inner, max_iterations=n), end())
            t=time.monotonic()
            h=await bench.start(schema)
            try: print(n, await asyncio.wait_for(h.wait(),40), time.monotonic()-t)
            except Exception as e:
                print(n, repr(e))
                c=await client.get_workflow_handle(h.execution_id+"/lo:0").fetch_history()
                print(kinds(list(c.events)))
                await client.get_workflow_handle(h.execution_id+"/lo:0").terminate(); await client.get_workflow_handle(h.execution_id).terminate()
        await bench.group.aclose()
asyncio.run(main(int(sys.argv[1])))
