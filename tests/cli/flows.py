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


APPROVAL = """
version: 0.1.0
nodes:
  - id: start
    data: { type: start, title: Begin, variables: [{ variable: name, label: Name, type: string }] }
  - id: ask
    data:
      type: human-input
      title: Ask the boss
      resume_mode: approval
      prompt_text: "May {{#start.name#}} have a day off?"
      form_fields:
        - { variable: comment, field_type: text, required: true, label: Comment }
        - { variable: days, field_type: number, default_value: 1 }
  - id: end
    data:
      type: end
      title: Finish
      outputs:
        - { variable: comment, value_selector: [ask, comment] }
        - { variable: days, value_selector: [ask, days] }
  - id: no
    data: { type: end, title: Refused, outputs: [] }
edges:
  - { source: start, target: ask }
  - { source: ask, target: end, sourceHandle: approve }
  - { source: ask, target: no, sourceHandle: reject }
"""

EACH = """
version: 0.1.0
nodes:
  - id: start
    data:
      type: start
      title: Begin
      variables: [{ variable: list, label: List, type: "array[number]" }]
  - id: each
    data:
      type: iteration
      title: Halve each
      input_selector: [start, list]
      output_variable: halves
      error_handle_mode: remove_abnormal
      sub_graph:
        nodes:
          - { id: in, data: { type: start, title: In, variables: [] } }
          - id: halve
            data:
              type: code
              title: Halve
              language: javascript
              code: |
                function main({ n }) { if (n < 0) throw new Error('negative'); return { n: n / 2 } }
              variables: [{ variable: n, value_selector: [item] }]
              outputs: { n: { type: number } }
          - id: out
            data:
              type: end
              title: Out
              outputs: [{ variable: n, value_selector: [halve, n] }]
        edges:
          - { source: in, target: halve }
          - { source: halve, target: out }
  - id: end
    data:
      type: end
      title: Finish
      outputs: [{ variable: halves, value_selector: [each, halves] }]
edges:
  - { source: start, target: each }
  - { source: each, target: end }
"""


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
