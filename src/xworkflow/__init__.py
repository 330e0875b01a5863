"""xworkflow: drawn LLM workflows (Dify exports, or our own DSL) that run durably on Temporal.

The public names are loaded when they are first used, so that a command or a workflow sandbox pays
only for what it needs.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from xworkflow.client.compiled import CompiledWorkflow
    from xworkflow.client.dispatcher import WorkflowDispatcher
    from xworkflow.client.handle import WorkflowHandle
    from xworkflow.client.runner import WorkflowRunner
    from xworkflow.client.status import (
        Completed,
        ExecutionStatus,
        Failed,
        FailedWithRecovery,
        Running,
        Stopped,
    )
    from xworkflow.client.workflow_cache import WorkflowCache
    from xworkflow.context import WorkflowContext
    from xworkflow.domain.events import GraphEngineEvent
    from xworkflow.domain.governing import Budget, Price, UsageQuota
    from xworkflow.domain.loading import load
    from xworkflow.domain.network_policy import NetworkMode, NetworkPolicy
    from xworkflow.domain.policy import EngineConfig
    from xworkflow.domain.pool import VariablePool
    from xworkflow.domain.quota import DslLimits, ResourceQuota, SecurityLevel, SecurityPolicy
    from xworkflow.domain.results import NodeRunResult
    from xworkflow.domain.schema import WorkflowSchema
    from xworkflow.domain.security_limits import (
        NodeLimits,
        SelectorValidation,
        TemplateSafetyConfig,
    )
    from xworkflow.domain.wire import MockNode
    from xworkflow.embedded.session import close
    from xworkflow.errors import (
        DslParseError,
        EngineError,
        InfrastructureError,
        InputError,
        NodeError,
        ValidationFailed,
    )
    from xworkflow.nodes.executors import NodeExecutor, NodeExecutorRegistry
    from xworkflow.ports import (
        AuditLogger,
        CredentialProvider,
        IdGenerator,
        JsRuntime,
        MemoryProvider,
        PythonRuntime,
        ResourceGovernor,
        SandboxPool,
        TimeProvider,
        WasmRuntime,
    )
    from xworkflow.providers import (
        FakeIdGenerator,
        FakeTimeProvider,
        RealIdGenerator,
        RealTimeProvider,
    )
    from xworkflow.runtime_group.audit_loggers import (
        JsonLinesAuditLogger,
        OtelAuditLogger,
        TracingAuditLogger,
    )
    from xworkflow.runtime_group.credentials import (
        CachedCredentials,
        ChainedCredentials,
        EnvironmentCredentials,
        FileCredentials,
    )
    from xworkflow.runtime_group.credentials_vault import VaultConfig, VaultCredentials
    from xworkflow.runtime_group.governor import DefaultResourceGovernor
    from xworkflow.runtime_group.group import ResourceGroup, RuntimeGroup, RuntimeGroupBuilder
    from xworkflow.runtime_group.http import HttpPoolConfig
    from xworkflow.runtime_group.llm_registry import LlmProviderRegistry
    from xworkflow.runtime_group.sandbox import DefaultSandboxPool
    from xworkflow.runtime_group.secret_stores import FileSecretStore, MemorySecretStore

    RuntimeContext: TypeAlias = WorkflowContext

_HOMES = {
    "AuditLogger": "ports",
    "CachedCredentials": "runtime_group.credentials",
    "ChainedCredentials": "runtime_group.credentials",
    "Budget": "domain.governing",
    "CompiledWorkflow": "client.compiled",
    "Completed": "client.status",
    "CredentialProvider": "ports",
    "DefaultResourceGovernor": "runtime_group.governor",
    "DefaultSandboxPool": "runtime_group.sandbox",
    "DslLimits": "domain.quota",
    "DslParseError": "errors",
    "EngineConfig": "domain.policy",
    "EngineError": "errors",
    "EnvironmentCredentials": "runtime_group.credentials",
    "ExecutionStatus": "client.status",
    "Failed": "client.status",
    "FailedWithRecovery": "client.status",
    "FakeIdGenerator": "providers",
    "FakeTimeProvider": "providers",
    "FileCredentials": "runtime_group.credentials",
    "FileSecretStore": "runtime_group.secret_stores",
    "GraphEngineEvent": "domain.events",
    "HttpPoolConfig": "runtime_group.http",
    "IdGenerator": "ports",
    "InfrastructureError": "errors",
    "InputError": "errors",
    "JsRuntime": "ports",
    "JsonLinesAuditLogger": "runtime_group.audit_loggers",
    "LlmProviderRegistry": "runtime_group.llm_registry",
    "MemoryProvider": "ports",
    "MemorySecretStore": "runtime_group.secret_stores",
    "MockNode": "domain.wire",
    "NetworkMode": "domain.network_policy",
    "NetworkPolicy": "domain.network_policy",
    "NodeError": "errors",
    "NodeExecutor": "nodes.executors",
    "NodeExecutorRegistry": "nodes.executors",
    "NodeLimits": "domain.security_limits",
    "NodeRunResult": "domain.results",
    "OtelAuditLogger": "runtime_group.audit_loggers",
    "Price": "domain.governing",
    "PythonRuntime": "ports",
    "RealIdGenerator": "providers",
    "RealTimeProvider": "providers",
    "ResourceGovernor": "ports",
    "ResourceGroup": "runtime_group.group",
    "ResourceQuota": "domain.quota",
    "Running": "client.status",
    "RuntimeGroup": "runtime_group.group",
    "RuntimeGroupBuilder": "runtime_group.group",
    "SandboxPool": "ports",
    "SecurityLevel": "domain.quota",
    "SecurityPolicy": "domain.quota",
    "SelectorValidation": "domain.security_limits",
    "Stopped": "client.status",
    "TemplateSafetyConfig": "domain.security_limits",
    "TimeProvider": "ports",
    "TracingAuditLogger": "runtime_group.audit_loggers",
    "UsageQuota": "domain.governing",
    "ValidationFailed": "errors",
    "VariablePool": "domain.pool",
    "VaultConfig": "runtime_group.credentials_vault",
    "VaultCredentials": "runtime_group.credentials_vault",
    "WasmRuntime": "ports",
    "WorkflowCache": "client.workflow_cache",
    "WorkflowContext": "context",
    "WorkflowDispatcher": "client.dispatcher",
    "WorkflowHandle": "client.handle",
    "WorkflowRunner": "client.runner",
    "WorkflowSchema": "domain.schema",
    "close": "embedded.session",
    "load": "domain.loading",
}

_OLD_NAMES = {"RuntimeContext": "WorkflowContext"}
"""Aliases that warn, and so are not in ``__all__``: ``from xworkflow import *`` must be quiet."""

__all__ = [
    "AuditLogger",
    "Budget",
    "CachedCredentials",
    "ChainedCredentials",
    "CompiledWorkflow",
    "Completed",
    "CredentialProvider",
    "DefaultResourceGovernor",
    "DefaultSandboxPool",
    "DslLimits",
    "DslParseError",
    "EngineConfig",
    "EngineError",
    "EnvironmentCredentials",
    "ExecutionStatus",
    "Failed",
    "FailedWithRecovery",
    "FakeIdGenerator",
    "FakeTimeProvider",
    "FileCredentials",
    "FileSecretStore",
    "GraphEngineEvent",
    "HttpPoolConfig",
    "IdGenerator",
    "InfrastructureError",
    "InputError",
    "JsRuntime",
    "JsonLinesAuditLogger",
    "LlmProviderRegistry",
    "MemoryProvider",
    "MemorySecretStore",
    "MockNode",
    "NetworkMode",
    "NetworkPolicy",
    "NodeError",
    "NodeExecutor",
    "NodeExecutorRegistry",
    "NodeLimits",
    "NodeRunResult",
    "OtelAuditLogger",
    "Price",
    "PythonRuntime",
    "RealIdGenerator",
    "RealTimeProvider",
    "ResourceGovernor",
    "ResourceGroup",
    "ResourceQuota",
    "Running",
    "RuntimeGroup",
    "RuntimeGroupBuilder",
    "SandboxPool",
    "SecurityLevel",
    "SecurityPolicy",
    "SelectorValidation",
    "Stopped",
    "TemplateSafetyConfig",
    "TimeProvider",
    "TracingAuditLogger",
    "UsageQuota",
    "ValidationFailed",
    "VariablePool",
    "VaultConfig",
    "VaultCredentials",
    "WasmRuntime",
    "WorkflowCache",
    "WorkflowContext",
    "WorkflowDispatcher",
    "WorkflowHandle",
    "WorkflowRunner",
    "WorkflowSchema",
    "close",
    "load",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _OLD_NAMES:
        warnings.warn(f"Use {_OLD_NAMES[name]} instead of {name}", DeprecationWarning, 2)
        name = _OLD_NAMES[name]
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'xworkflow' has no attribute '{name}'")
    return getattr(importlib.import_module(f"xworkflow.{home}"), name)
