"""Laws of the persistent map: each version is the dict that the same operations had made."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tests.properties.graphs import LAWS
from xworkflow.domain.persistent import PersistentMap

Step = tuple[int, str, int | None]
"""(which version to start from, key, value), where no value removes the key."""

KEYS = st.sampled_from("abcd")
STEPS = st.lists(st.tuples(st.integers(0, 30), KEYS, st.none() | st.integers(0, 3)), max_size=30)


def versions(steps: list[Step]) -> list[tuple[PersistentMap[int], dict[str, int]]]:
    """All versions of a map beside their models; a step may go on from any earlier version."""
    made: list[tuple[PersistentMap[int], dict[str, int]]] = [(PersistentMap(), {})]
    for origin, key, value in steps:
        old, model = made[origin % len(made)]
        if value is None:
            made.append((old.without(key), {k: v for k, v in model.items() if k != key}))
        else:
            made.append((old.set(key, value), {**model, key: value}))
    return made


@LAWS
@given(steps=STEPS, order=st.randoms(use_true_random=False))
def test_every_version_reads_as_its_model_in_whatever_order_they_are_read(
    steps: list[Step], order: Random
) -> None:
    made = versions(steps)
    order.shuffle(made)
    for version, model in made:
        assert version == model
        assert len(version) == len(model)
        assert {key: version.get(key) for key in "abcd"} == {k: model.get(k) for k in "abcd"}
        assert [key for key in "abcd" if key in version] == sorted(model)


@LAWS
@given(steps=STEPS)
def test_reading_one_version_changes_no_other(steps: list[Step]) -> None:
    made = versions(steps)
    for version, _ in made:
        list(version)
        assert all(dict(other) == model for other, model in made)


@LAWS
@given(steps=STEPS)
def test_the_newest_version_of_a_line_iterates_in_the_order_of_insertion(
    steps: list[Step],
) -> None:
    newest: PersistentMap[int] = PersistentMap()
    model: dict[str, int] = {}
    for _, key, value in steps:
        if value is None:
            newest = newest.without(key)
            model.pop(key, None)
        else:
            newest = newest.set(key, value)
            model[key] = value
    assert list(newest.items()) == list(model.items())
