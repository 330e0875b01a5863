"""The credentials of a model call: the node's own, and those that its group provides."""

from __future__ import annotations

from collections.abc import Mapping

from xworkflow.domain.wire import DEFAULT_GROUP
from xworkflow.errors import EngineError, NodeError
from xworkflow.nodes.audit import audit
from xworkflow.nodes.llm_data import ModelChoice
from xworkflow.ports import Ports


async def credentials_for(
    model: ModelChoice, provider: str, node_id: str, ports: Ports
) -> Mapping[str, str]:
    """The node's own under those that the group's provider of credentials has, which win.

    A group without a name is asked for as ``default``; the reference ignores its provider.
    """
    own = model.credentials
    if ports.credential_provider is None:
        return own
    try:
        group_id = ports.group_id or DEFAULT_GROUP
        found = await ports.credential_provider.get_credentials(group_id, provider)
    except Exception as error:
        audit(ports, node_id, "CredentialAccess", "Warning", provider=provider, success=False)
        # only our own errors are known to hold no secret
        reason = str(error) if isinstance(error, EngineError) else type(error).__name__
        text = f"no credentials for '{provider}': {reason}"
        raise NodeError.of_kind("execution_error", text) from error
    audit(ports, node_id, "CredentialAccess", "Info", provider=provider, success=True)
    return {**own, **found}
