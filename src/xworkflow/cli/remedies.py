"""What a user can do about a run's failure whose text, the specification's own, does not say so."""

from __future__ import annotations

import re
from typing import Final

_REMEDIES: Final = (
    (
        re.compile(r"Provider not found: (?P<name>[^\s,]+)"),
        (
            "the worker's group has no model provider {name}: describe it as [providers.{alias}] "
            "in xworkflow.toml, or give the worker OPENAI_API_KEY for openai "
            "(docs/configuration.md)"
        ),
    ),
)


def remedy(error: str) -> str | None:
    """A sentence of advice, or None."""
    for pattern, advice in _REMEDIES:
        found = pattern.search(error)
        if found is not None:
            name = found["name"]
            return advice.format(name=name, alias=name.rsplit("/", 1)[-1])
    return None
