"""The pool of an executor: what crossed to its activity, and an error for all else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from xworkflow.domain.pool import Namespace, VariablePool
from xworkflow.domain.selectors import Selector
from xworkflow.domain.values import JsonValue
from xworkflow.errors import MisuseError


class CrossedPool(VariablePool):
    """Only what the node's configuration names is there.

    A plain pool reads None for what it does not hold; here that would hide that the value exists
    and was left behind. So reading it raises MisuseError, which names the remedy.
    """

    __slots__ = ("_crossed",)

    def __init__(self, values: Mapping[Selector, JsonValue]) -> None:
        # a value that crossed whole holds the ones inside of it
        self._crossed = [found for found in values if not _reached(found[:-1], values)]
        pool = VariablePool()
        for selector in self._crossed:
            pool = pool.set(selector, values[selector])
        super().__init__(pool.to_json())

    def get(self, selector: Selector) -> JsonValue:
        if not _reached(selector, self._crossed):
            _refuse(f"selector {list(selector)}")
        return super().get(selector)

    def namespace(self, name: str) -> Namespace:
        _refuse(f"namespace '{name}' as a whole")


def _reached(selector: Selector, crossed: Mapping[Selector, JsonValue] | list[Selector]) -> bool:
    return any(selector[:length] in crossed for length in range(2, len(selector) + 1))


def _refuse(what: str) -> NoReturn:
    raise MisuseError(
        f"{what} did not cross to this activity: name it in the node's configuration (a key that "
        "ends with 'selector', or '{{#node.variable#}}' in a text), or declare reads_all = True on "
        "the executor"
    )
