"""Taking secrets out of what a node gives back: servers echo what they are sent."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final, TypeVar, cast
from urllib.parse import quote, quote_plus

from pydantic import BaseModel

MASK: Final = "***"
SHORTEST: Final = 4
"""Characters of a secret that is looked for: shorter ones stand in every text by chance."""
_SHORTEST_CODED: Final = 5
"""Characters of one that is looked for in Base64, where parts of it must be recognised."""
_AS_IN_URLS: Final = ("!$%&'()*+,/:;=@[]\\^|", "!$%&'()*+,/:;=?@[\\]^`{|}")
"""Signs that clients leave as they are in a path, and in a query."""

M = TypeVar("M", bound=BaseModel)


class Masker:
    """Replaces exact values, and the forms in which requests carry them. Of one attempt."""

    def __init__(self) -> None:
        self._forms: dict[str, None] = {}

    def __bool__(self) -> bool:
        return bool(self._forms)

    def add(self, secret: str) -> None:
        if len(secret) >= SHORTEST:
            self._forms.update(dict.fromkeys(_forms(secret)))

    def text(self, text: str) -> str:
        # the longest first, so that no part of it is left
        for form in sorted(self._forms, key=len, reverse=True):
            if form in text:
                text = text.replace(form, MASK)
        return text

    def finds_in(self, text: str) -> bool:
        return any(form in text for form in self._forms)

    def may_begin_in(self, text: str) -> bool:
        """Whether the end of a text may be the beginning of a secret."""
        return any(
            form.startswith(text[-length:])
            for form in self._forms
            for length in range(1, min(len(form), len(text) + 1))
        )

    def json(self, value: Any) -> Any:  # noqa: ANN401 - JSON
        """A value with all its texts masked, keys included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            members = cast("dict[Any, Any]", value)
            return {self.json(key): self.json(item) for key, item in members.items()}
        if isinstance(value, (list, tuple)):
            return [self.json(item) for item in cast("list[Any]", value)]
        return value

    def model(self, model: M) -> M:
        """A model with all its texts masked."""
        if not self._forms:
            return model
        return type(model).model_validate(self.json(model.model_dump(mode="json")))


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret, safe="")
    yield quote(secret)
    yield quote_plus(secret)
    for left in _AS_IN_URLS:
        yield quote(secret, safe=left)
    for ascii_only in (True, False):
        yield json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
    yield from _coded(secret.encode())


def _coded(secret: bytes) -> Iterator[str]:
    """What of it can be seen in Base64, wherever in a longer text it stands (``user:secret``)."""
    if len(secret) < _SHORTEST_CODED:
        return
    for offset in range(3):
        coded = b64encode(bytes(offset) + secret).decode().rstrip("=")
        # the first and the last sign depend on what stands beside the secret
        first = -(-offset * 8 // 6) if offset else 0
        last = (offset + len(secret)) * 8 // 6
        core = coded[first:last]
        yield core
        yield core.replace("+", "-").replace("/", "_")
