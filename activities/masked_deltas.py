"""Live pieces without secrets in them, also where one is cut in two by the model's pieces."""

from __future__ import annotations

from xworkflow.ports import DeltaSink
from xworkflow.runtime_group.masking import Masker


class MaskedDeltas:
    """A ``ports.DeltaSink`` in front of another. Pieces keep their bounds, unless they hold a
    secret; one that may be the beginning of a secret waits for the next."""

    def __init__(self, sink: DeltaSink, masker: Masker) -> None:
        self._sink = sink
        self._masker = masker
        self._held: dict[str, list[str]] = {}

    def put(self, variable: str, text: str) -> None:
        """Take a piece. Returns at once."""
        if not self._masker:
            self._sink.put(variable, text)
            return
        held = self._held.setdefault(variable, [])
        held.append(text)
        if not self._masker.may_begin_in("".join(held)):
            self._tell(variable)

    def close(self) -> None:
        """Nothing more comes: tell what was held back."""
        for variable in list(self._held):
            self._tell(variable)

    def _tell(self, variable: str) -> None:
        held = self._held.pop(variable, [])
        whole = "".join(held)
        masked = self._masker.text(whole)
        for piece in held if masked == whole else [masked]:
            self._sink.put(variable, piece)
