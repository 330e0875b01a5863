"""The public names of the package are those that are written down, and all can be imported."""

from __future__ import annotations

import pytest

import xworkflow


def test_the_public_names_are_those_with_a_home() -> None:
    assert xworkflow.__all__ == sorted(xworkflow._HOMES)


@pytest.mark.parametrize("name", xworkflow.__all__)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # old names work, and say so
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(xworkflow, name) is not None


def test_another_name_is_refused_as_any_module_refuses_it() -> None:
    with pytest.raises(AttributeError, match="module 'xworkflow' has no attribute 'nothing'"):
        xworkflow.__getattr__("nothing")
