"""How to reach Temporal: an address, or the ecosystem's own environment configuration.

``temporalio.envconfig`` reads TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, profiles, TLS and API keys.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re

from temporalio.client import Client
from temporalio.envconfig import ClientConfig, ClientConnectConfig

from xworkflow.client.encryption import data_converter
from xworkflow.errors import InfrastructureError
from xworkflow.telemetry import plugins

CONNECT_SECS = 10.0
"""A server that takes a connection and then says nothing is none."""

_REASON = re.compile(r'(?:message|error): "([^"]+)"')


def configured_address() -> str | None:
    """The address that the environment names, or None."""
    return _configuration().get("target_host")


async def connect(address: str | None = None) -> Client:
    """Connect; an address wins over the environment. Raises InfrastructureError."""
    config = _configuration()
    target = address or config.get("target_host") or "localhost:7233"
    converter = data_converter(os.environ)
    try:
        async with asyncio.timeout(CONNECT_SECS):
            config["target_host"] = target
            return await Client.connect(
                **config, data_converter=converter, plugins=plugins(os.environ)
            )
    except (RuntimeError, ValueError, TimeoutError) as error:
        logging.getLogger(__name__).info("connecting to %s: %s", target, error)
        text = f"no Temporal server answers at {target}{_reason(error)}"
        raise InfrastructureError(text) from None


def _configuration() -> ClientConnectConfig:
    try:
        return ClientConfig.load_client_connect_config()
    except (RuntimeError, ValueError, OSError) as error:
        raise InfrastructureError(f"the Temporal configuration cannot be read: {error}") from None


def _reason(error: Exception) -> str:
    """The part for people of the SDK's error, whose text is a Rust value."""
    if isinstance(error, TimeoutError):
        return f" within {CONNECT_SECS:.0f} s"
    found = _REASON.search(str(error))
    return f": {found[1]}" if found is not None else ""
