"""Secret variables of a workflow: what travels in place of their values.

A reference stands in the pool where the value would be: ``env.API_KEY`` reads it, copies of it give
nothing. ``scope`` is the hash of the workflow, so that two workflows of a group never meet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, TypeGuard, cast

from xworkflow.domain.selectors import Selector
from xworkflow.domain.values import JsonValue

SECRET_TYPE: Final = "secret"  # noqa: S105 - the name of a type
NAMESPACE: Final = "env"
_NAME, _SCOPE = "xworkflow_secret", "xworkflow_scope"

READERS: Final = frozenset({"http-request", "tool"})
"""Types whose activities read secrets in any field."""
LLM_TYPES: Final = frozenset({"llm", "agent", "question-classifier", "parameter-extractor"})
"""Types that read them in ``model.credentials`` alone: a prompt goes to others."""


def store_key(group_id: str | None, scope: str) -> str:
    """Under what a group keeps the secrets of a workflow: another group with the very same file,
    exported without its secrets, must not find them."""
    return hashlib.sha256(f"{group_id or ''}/{scope}".encode()).hexdigest()


def reference(name: str, scope: str) -> dict[str, JsonValue]:
    """What stands in the pool for a secret variable."""
    return {_NAME: name, _SCOPE: scope}


def is_reference(value: object) -> TypeGuard[Mapping[str, str]]:
    return isinstance(value, Mapping) and set(cast("Mapping[str, Any]", value)) == {_NAME, _SCOPE}


def scope_at(selector: Selector, value: JsonValue) -> str | None:
    """The scope of a secret variable that is read where it belongs; None for everything else.

    A reference at another place, or under another name, was put there by a workflow or a caller and
    is only a value.
    """
    if len(selector) == 2 and selector[0] == NAMESPACE and is_reference(value):  # noqa: PLR2004
        return value[_SCOPE] if value[_NAME] == selector[1] else None
    return None
