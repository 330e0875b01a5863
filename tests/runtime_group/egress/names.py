"""Resolvers that a test writes: names lead where it says, and may change their minds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class FakeResolver:
    """Each name's answers, one after the other; the last one stays. ``asked`` counts them all."""

    def __init__(self, answers: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._answers = {name.lower().rstrip("."): list(rounds) for name, rounds in answers.items()}
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        del port
        self.asked.append(host)
        rounds = self._answers.get(host.lower().rstrip("."))
        if rounds is None:
            raise OSError(f"no such name: {host}")
        return rounds.pop(0) if len(rounds) > 1 else rounds[0]
