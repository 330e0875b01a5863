"""The group of a case that does not run in the one that all share: its policy, quota, secrets."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xworkflow.errors import CredentialError
from xworkflow.runtime_group.governor import DefaultResourceGovernor
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.runtime_group.llm_openai import DEFAULT_BASE_URL, OpenAiConfig, OpenAiProvider
from xworkflow.runtime_group.llm_registry import LlmProviderRegistry
from xworkflow.testing.cases import Case, OpenAiTable, Surroundings, policy_of
from xworkflow.testing.recorded_audit import RecordedAudit


@dataclass(frozen=True, slots=True)
class CaseGroup:
    """A group of a case's own, and what its audit log was told."""

    group: RuntimeGroup
    audit: RecordedAudit = field(default_factory=RecordedAudit)


class GivenCredentials:
    """A ``ports.CredentialProvider`` with what a case gives it."""

    def __init__(self, credentials: Mapping[str, Mapping[str, str]]) -> None:
        self._credentials = credentials

    async def get_credentials(self, group_id: str, provider_name: str) -> Mapping[str, str]:
        found = self._credentials.get(provider_name)
        if found is None:
            raise CredentialError.not_found(group_id, provider_name)
        return found


def group_of(case: Case, shared: RuntimeGroup, server: str | None) -> CaseGroup | None:
    """The case's own group, which shares all else; None when the shared one does.

    ``server`` is the URL of the case's mock server. A case with a quota or credentials has a named
    group, as those are counted and kept by name.
    """
    state = case.state
    parts = _parts(state, server)
    if not parts and case.expectation.audit is None:
        return None
    audit = RecordedAudit()
    return CaseGroup(shared.replaced(audit_logger=audit, **parts), audit)


def _parts(state: Surroundings, server: str | None) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    policy = policy_of(state)
    if policy is not None:
        parts["security_policy"] = policy
    if state.llm_providers.openai is not None:
        registry = LlmProviderRegistry()
        registry.register(OpenAiProvider(_config(state.llm_providers.openai, server)))
        parts["llm_provider_registry"] = registry
    named = (state.quota, state.usage_quota, state.credentials)
    if all(part is None for part in named):
        return parts
    parts["group_id"] = group_id = f"case-{uuid.uuid4()}"
    if state.quota is not None:
        parts["quota"] = state.quota
        parts["resource_governor"] = DefaultResourceGovernor({group_id: state.quota})
    if state.usage_quota is not None:
        parts["usage_quota"] = state.usage_quota
        parts.pop("resource_governor", None)  # the worker brings the one that counts it
    if state.credentials is not None:
        parts["credential_provider"] = GivenCredentials(state.credentials)
    return parts


def _config(table: OpenAiTable, server: str | None) -> OpenAiConfig:
    default = DEFAULT_BASE_URL if server is None else f"{server}/v1"
    return OpenAiConfig(
        api_key=table.api_key,
        base_url=table.base_url or default,
        org_id=table.org_id,
        default_model=table.default_model,
    )
