"""Runs share a task queue by app and user."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.common import Priority

from tests.workflows.drawing import chain, end, start
from xworkflow.client.priority import priority_of
from xworkflow.client.runner import WorkflowRunner
from xworkflow.context import WorkflowContext


def priority(name: str, system: dict[str, Any], **options: Any) -> Priority:
    builder = WorkflowRunner.builder(chain(name, start(), end())).system_vars(system)
    builder.options(**options)
    return priority_of(builder.run_input(WorkflowContext.default()))


@pytest.mark.parametrize(
    ("name", "system", "key"),
    [
        ("Letters", {"user_id": "ann"}, "Letters/ann"),
        ("Letters", {}, "Letters/"),
        ("Letters", {"user_id": 5}, "Letters/"),
        ("", {"user_id": "ann"}, "/ann"),
        ("", {}, None),
    ],
)
def test_a_run_has_the_key_of_its_app_and_user(
    name: str, system: dict[str, Any], key: str | None
) -> None:
    assert priority(name, system).fairness_key == key


def test_a_key_is_never_longer_than_temporal_takes() -> None:
    keys = {priority("Ä" * 40, {"user_id": user}).fairness_key or "" for user in ("a", "b")}
    assert [len(key.encode()) for key in keys] == [64, 64]


def test_a_run_has_the_priority_that_it_was_given() -> None:
    assert priority("Letters", {}, priority=1) == Priority(1, "Letters/")
    assert priority("", {}, priority=5) == Priority(5)
    assert priority("", {}) == Priority.default


@pytest.mark.parametrize("given", [0, 6])
def test_a_priority_is_one_of_temporals_five(given: int) -> None:
    with pytest.raises(ValueError, match="priority"):
        priority("", {}, priority=given)
