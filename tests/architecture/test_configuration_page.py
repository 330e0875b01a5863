"""docs/configuration.md says what the code reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from xworkflow.configuration import parse_settings
from xworkflow.configuration.group_settings import (
    AuditSettings,
    CredentialSettings,
    GroupSettings,
    PoolSettings,
)
from xworkflow.configuration.settings import ProviderSettings, WorkerSettings
from xworkflow.domain.governing import UsageQuota, WorkerSlots

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/configuration.md").read_text()
OF_OPERATIONS = (ROOT / "docs/operations.md").read_text()


def test_its_example_is_one() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert list(parse_settings(example).groups) == ["acme", "tools", "default"]


@pytest.mark.parametrize(
    "table",
    [
        WorkerSettings,
        ProviderSettings,
        GroupSettings,
        CredentialSettings,
        AuditSettings,
        PoolSettings,
        WorkerSlots,
    ],
)
def test_it_names_every_key(table: type[BaseModel]) -> None:
    assert [key for key in table.model_fields if not re.search(rf"\b{key}\b", PAGE)] == []


def test_the_page_for_operators_names_every_quota() -> None:
    both = PAGE + OF_OPERATIONS
    assert [key for key in UsageQuota.model_fields if f"`{key}" not in both] == []
