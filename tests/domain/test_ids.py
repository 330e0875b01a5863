"""Ids that a run makes (spec/graph.md 5.8)."""

from __future__ import annotations

import uuid

from xworkflow.domain.ids import IdSequence

NAMESPACE = uuid.UUID("6f2d5c0e-6a0e-5d0c-9c4b-7a8e2f1d3b10")


def test_ids_are_the_name_based_uuids_of_the_run_and_their_number() -> None:
    """Written out by hand in the code for speed; these are the standard library's."""
    sequence = IdSequence("run é")
    for number in range(50):
        taken, sequence = sequence.take()
        assert taken == str(uuid.uuid5(NAMESPACE, f"run é:{number}"))


def test_fake_ids_are_the_prefix_and_a_number() -> None:
    first, rest = IdSequence("run", "id").take()
    second, _ = rest.take()
    assert (first, second) == ("id-0", "id-1")


def test_taking_an_id_leaves_the_sequence_as_it_was() -> None:
    sequence = IdSequence("run")
    assert sequence.take() == sequence.take()
