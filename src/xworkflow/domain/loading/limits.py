"""How large a workflow file may be. Dify's own limit is 10 MB (spec/dify.md E1)."""

from __future__ import annotations

from typing import Final

MAX_BYTES: Final = 10 * 1024 * 1024
"""Of the text, and characters of all that it holds once aliases are expanded."""
MAX_VALUES: Final = 500_000
"""Objects, lists and scalars, aliases expanded; the largest known export has 8,000."""
MAX_DEPTH: Final = 200

TOO_LARGE: Final = "the text is larger than 10 MB"
TOO_MANY: Final = f"the text holds more than {MAX_VALUES} values"
TOO_DEEP: Final = f"the text is nested deeper than {MAX_DEPTH} levels"
