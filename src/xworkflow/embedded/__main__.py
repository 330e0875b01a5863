"""``python -m xworkflow.embedded``: get both binaries into the cache, so that tests need not."""

from __future__ import annotations

import asyncio
import sys

from xworkflow.embedded.binaries import temporal_cli, time_skipping_server
from xworkflow.errors import InfrastructureError


async def main() -> int:
    """Print each path, or why there is none. 3 when one is missing."""
    status = 0
    for find in (temporal_cli, time_skipping_server):
        try:
            sys.stdout.write(f"{await find()}\n")
        except InfrastructureError as error:
            sys.stderr.write(f"xworkflow: {error}\n")
            status = 3
    return status


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
