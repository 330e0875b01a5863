"""Text to WorkflowSchema, for both dialects (spec/graph.md 1, spec/dify.md E1 and E2).

::

    text ── parse ──▶ Document (JSON values, lines) ──▶ native.py │ dify.py ──▶ WorkflowSchema
                                                         └── Findings: everything that is wrong

Pure: no I/O, no clock. Whatever the text holds, nothing but DslParseError is ever raised.
"""

from __future__ import annotations

from xworkflow.domain.loading.read import Loaded, load, read
from xworkflow.domain.loading.text import Format, format_of

__all__ = ["Format", "Loaded", "format_of", "load", "read"]
