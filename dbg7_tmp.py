import asyncio, sys, time, logging
logging.basicConfig(level=logging.WARNING)
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from xworkflow.embedded.server import start_server
from tests.workflows.bench import Bench, kind, kinds, history
from tests.workflows.drawing import *
async def main(n,size):
    async with start_server() as server:
        client=await Client.connect(server.address, data_converter=pydantic_data_converter)
        bench=Bench(client,"q")
        async with bench.worker():
            script="function main({n}) { let s=''; while (s.length < %d) s += Math.random().toString(36).slice(2); return { n: s } }" % size
            inner = body(begin("s"), code("c","item",script=script), finish("e", n="c.n"))
            schema = chain("big", start("list"), iteration("it", "start.list", inner, parallel=True), listed_len("len"), end(out="len.out"))
            t=time.monotonic()
            h=await bench.start(schema, {"list": list(range(n))})
            try: print(n, str(await asyncio.wait_for(h.wait(),40))[:300], time.monotonic()-t)
            except Exception as e:
                print(n, repr(e))
                for i in (h.execution_id, h.execution_id+"/it:0"):
                    try:
                        c=await client.get_workflow_handle(i).fetch_history()
                        print(i, kinds(list(c.events)))
                        for e in c.events:
                            if 'failed' in kind(e): print(str(e)[:600])
                        await client.get_workflow_handle(i).terminate()
                    except Exception as e: print(repr(e))
        await bench.group.aclose()
def listed_len(id_): return node(id_,"list-operator",operation="length",input_selector=["it","out"],output_variable="out")
asyncio.run(main(int(sys.argv[1]),int(sys.argv[2])))
