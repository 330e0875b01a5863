import asyncio, sys
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from xworkflow.embedded.server import start_server
from tests.workflows.bench import Bench, kind
from tests.workflows.test_people import asked, ASKING
from tests.workflows.drawing import *
async def main():
    async with start_server() as server:
        client=await Client.connect(server.address, data_converter=pydantic_data_converter)
        bench=Bench(client,"q")
        async with bench.worker():
            inner = body(begin("s2"), iteration("deep", "item", ASKING), finish("e2", names="deep.out"))
            schema = chain("deep", start("lists"), iteration("it", "start.lists", inner), end(out="it.out"))
            handle = await bench.start(schema, {"lists": [["a"], ["b", "c"]]})
            (w,)=await asked(handle)
            print(w.workflow_id)
            await handle.answer(w, form_data={"name":"x"})
            for _ in range(10):
                await asyncio.sleep(.3); print([ (x.workflow_id,x.token==w.token) for x in await handle.waiting()])
            for i in [w.workflow_id, handle.execution_id+"/it:0", handle.execution_id]:
                print(i)
                h=await client.get_workflow_handle(i).fetch_history()
                for e in h.events: print("     ",e.event_id,kind(e))
            await handle.cancel()
        await bench.group.aclose()
asyncio.run(main())
