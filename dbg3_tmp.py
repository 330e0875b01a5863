import asyncio, sys, logging
from random import Random
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from xworkflow.embedded.server import start_server
from tests.workflows.bench import Bench, kind
from tests.workflows.reckoner import Reckoner
from tests.workflows.test_nested_graphs import read, run, Drawn, by_workflow, check_result, check_order, drawn_graphs
async def main(seed, n, most):
    async with start_server() as server:
        client=await Client.connect(server.address, data_converter=pydantic_data_converter)
        bench=Bench(client,"q")
        with Reckoner() as rk:
          async with bench.worker():
            async def one(d):
                t=await asyncio.wait_for(run(bench,d,rk.url,continue_as_new_after_events=most),60)
                try: check_result(t)
                except AssertionError as e: print("RESULT",e)
                closed=await read(t.handle)
                for seen,what in ((t.live,'live'),(closed,'closed')):
                    try: check_order(seen)
                    except AssertionError as e:
                        print(d.seed, what, str(e)[:300])
                        for w,e in seen: print("   ",w.split('/',1)[1:],e.seq,e.at%100000,e.type,e.data.get('node_id'),e.data.get('path'))
            gs=list(drawn_graphs(seed,n))
            for i in range(0,len(gs),4): await asyncio.gather(*map(one,gs[i:i+4]))
        await bench.group.aclose()
asyncio.run(main(int(sys.argv[1]),int(sys.argv[2]),int(sys.argv[3])))
