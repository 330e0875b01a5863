"""Run ``orders.yml``, a Dify export, against a small shop of its own: ``make run``.

The shop answers the first request for the order with an error, so that a retry can be seen.
"""

from __future__ import annotations

import json
from pathlib import Path

from xworkflow.cli.app import invoke
from xworkflow.cli.exit_codes import leave
from xworkflow.testing.mock_server import MockResponse, MockServer

ORDER = {
    "customer": "Ada Lovelace",
    "lines": [
        {"name": "Punched cards", "price": 20, "count": 5},
        {"name": "Brass gears", "price": 12.5, "count": 4},
    ],
}
SHOP = (
    MockResponse("GET", "/orders/4711", response_status=503, response_body="busy"),
    MockResponse("GET", "/orders/4711", response_body=json.dumps(ORDER)),
    MockResponse("GET", "/weather?city=Oslo", response_body="light snow"),
)


def main() -> int:
    """Run the example as a user would; returns the command's exit code."""
    workflow = Path(__file__).with_name("orders.yml")
    with MockServer(SHOP) as shop:
        inputs = ["--input", "order_id=4711", "--input", f"shop_url={shop.url}"]
        return invoke(["run", str(workflow), *inputs])


if __name__ == "__main__":
    leave(main())
