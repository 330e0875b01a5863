"""The tree of errors is what ``errors.py`` draws, and every kind of error has a code."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest

import xworkflow
from xworkflow import errors
from xworkflow.errors import EngineError, NodeError, NodeFailure


def _all_modules() -> None:
    """Import every module, so that every subclass is known."""
    for found in pkgutil.walk_packages(xworkflow.__path__, "xworkflow."):
        if not found.name.endswith("__main__") and ".child_process" not in found.name:
            importlib.import_module(found.name)


def _below(kind: type[EngineError]) -> Iterator[type[EngineError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)


_all_modules()
KINDS = sorted(set(_below(EngineError)), key=lambda kind: kind.__qualname__)


def drawn() -> dict[str, int]:
    """The names in the drawn tree, with the column at which each begins."""
    lines = (errors.__doc__ or "").splitlines()
    found = (re.match(r"    ([│├└─ ]*)(\w+) ", line) for line in lines)
    return {match[2]: len(match[1]) for match in found if match is not None}


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_stands_in_the_drawn_tree_below_its_base(kind: type[EngineError]) -> None:
    tree = drawn()
    assert kind.__name__ in tree
    (base,) = kind.__bases__
    assert tree[kind.__name__] == tree[base.__name__] + 4


def test_the_drawn_tree_has_no_other_names() -> None:
    assert drawn().keys() == {"EngineError", *(kind.__name__ for kind in KINDS)}


def test_every_error_has_a_code_of_its_own() -> None:
    """An error of a node has its failure's code, which is finer."""
    own = [kind for kind in KINDS if not issubclass(kind, NodeError)]
    codes = [kind.__dict__.get("code") for kind in (EngineError, *own)]
    assert all(isinstance(code, str) and re.fullmatch("[a-z_]+", code) for code in codes)
    assert len(set(codes)) == len(codes)


def test_an_error_of_a_node_has_its_failures_code() -> None:
    assert NodeError(NodeFailure.timeout("late")).code == "timeout"
