"""Small workflow files, as a user has them on disk."""

from __future__ import annotations

from pathlib import Path

GREET = """
version = "0.1.0"
edges = [{ source = "start", target = "end" }]

[[nodes]]
id = "start"
[nodes.data]
type = "start"
title = "Begin"
variables = [
  { variable = "name", label = "Name", type = "string", required = true },
  { variable = "count", label = "Count", type = "number" },
]

[[nodes]]
id = "end"
[nodes.data]
type = "end"
title = "Finish"
outputs = [{ variable = "greeting", value_selector = ["start", "name"] }]
"""

BOTH = GREET.replace(
    'outputs = [{ variable = "greeting", value_selector = ["start", "name"] }]',
    """outputs = [
  { variable = "greeting", value_selector = ["start", "name"] },
  { variable = "count", value_selector = ["start", "count"] },
]""",
)

_CHAIN = """
version = "0.1.0"
edges = [
  { source = "start", target = "node" },
  { source = "node", target = "end" },
]

[[nodes]]
id = "start"
[nodes.data]
type = "start"
title = "Begin"

[[nodes]]
id = "node"
NODE

[[nodes]]
id = "end"
[nodes.data]
type = "end"
title = "Finish"
"""


def _with_node(table: str) -> str:
    return _CHAIN.replace("NODE", table.strip())


FAILING = _with_node(
    """
[nodes.data]
type = "code"
title = "Boom"
language = "javascript"
code = "function main() { throw new Error('boom') }"
outputs = { x = { type = "string" } }
"""
)

UNKNOWN_TYPE = """
version: 0.1.0
nodes:
  - id: start
    data: { type: start, title: Begin }
  - id: beam
    data: { type: teleport, title: Beam }
  - id: end
    data: { type: end, title: Finish, outputs: [] }
edges:
  - { source: start, target: beam }
  - { source: beam, target: end }
"""
"""As YAML, whose nodes know their lines."""


def asking(url: str) -> str:
    """A workflow whose only work is one GET request."""
    return _with_node(
        f"""
[nodes.data]
type = "http-request"
title = "Ask"
method = "GET"
url = "{url}"
authorization = {{ type = "no_auth" }}
timeout = 60
"""
    )


def write(folder: Path, name: str, text: str | bytes) -> Path:
    """A file with this text."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path
