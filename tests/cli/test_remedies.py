"""Advice beside an error whose own text gives none."""

from __future__ import annotations

from xworkflow.cli.remedies import remedy


def test_a_provider_that_is_not_there_names_its_table() -> None:
    said = remedy(
        "Node execution error: node=llm, "
        "error=Execution error: Provider not found: langgenius/deepseek/deepseek"
    )
    assert said is not None
    assert "no model provider langgenius/deepseek/deepseek: " in said
    assert "[providers.deepseek] in xworkflow.toml" in said


def test_other_errors_have_no_advice() -> None:
    assert remedy("Node execution error: node=h, error=HTTP error: timed out") is None
