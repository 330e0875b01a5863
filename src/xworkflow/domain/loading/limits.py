"""How large a workflow file may be. Dify's own limit is 10 MB (spec/dify.md E1)."""

from __future__ import annotations

from typing import Final

MAX_BYTES: Final = 10 * 1024 * 1024
"""Of the text, and characters of all that it holds once aliases are expanded."""
MAX_VALUES: Final = 500_000
"""Objects, lists and scalars, aliases expanded; the largest known export has 8,000."""
MAX_DEPTH: Final = 100
"""Half of what the readers of JSON on the way to a worker bear."""
MAX_NESTING: Final = MAX_DEPTH // 4
"""Bodies in one another: each is four levels of the schema's JSON."""
MAX_TOML_BYTES: Final = 1024 * 1024
"""The standard parser is pure Python: it takes a second or two for each megabyte."""
MAX_TOML_KEY: Final = 50
"""Parts of a dotted key or table header: its time grows with their square, or worse."""

TOO_LARGE: Final = "the text is larger than 10 MB"
TOO_MANY: Final = f"the text holds more than {MAX_VALUES} values"
TOO_LARGE_TOML: Final = "the text is larger than 1 MB; larger workflows can be YAML or JSON"
TOO_DEEP: Final = f"the text is nested deeper than {MAX_DEPTH} levels"
