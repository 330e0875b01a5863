"""How to reach Temporal: an address, or the ecosystem's own environment configuration.

``temporalio.envconfig`` reads TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, profiles, TLS and API keys.
"""

from __future__ import annotations

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig

from xworkflow.errors import InfrastructureError


def configured_address() -> str | None:
    """The address that the environment names, or None."""
    try:
        return ClientConfig.load_client_connect_config().get("target_host")
    except (RuntimeError, ValueError) as error:
        raise InfrastructureError(f"the Temporal configuration cannot be read: {error}") from None


async def connect(address: str | None = None) -> Client:
    """Connect; an address wins over the environment. Raises InfrastructureError."""
    try:
        config = ClientConfig.load_client_connect_config()
        if address is not None:
            config["target_host"] = address
        target = config.get("target_host") or "localhost:7233"
        return await Client.connect(
            **{**config, "target_host": target}, data_converter=pydantic_data_converter
        )
    except (RuntimeError, ValueError) as error:
        where = address or "the configured address"
        raise InfrastructureError(f"no Temporal server answers at {where}: {error}") from None
