"""Credentials from a server that speaks Vault's KV version 2, as an example of an own provider.

``GET <address>/v1/<mount>/data/<prefix>/<group>/<provider>`` with ``X-Vault-Token``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from xworkflow.errors import CredentialError, NodeError
from xworkflow.ports import HttpRequest
from xworkflow.private_files import read_private
from xworkflow.runtime_group.http_client import PooledHttpClient

_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class VaultConfig:
    """Where the server is. The token itself, or a file that something renews."""

    address: str
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    mount: str = "secret"
    prefix: str = "xworkflow"
    namespace: str | None = None
    timeout_secs: float = 10.0


class VaultCredentials:
    """Asks each time, over a connection of its own; put ``CachedCredentials`` before it.

    No group's policy holds for it: the server stands inside, where a policy lets nothing go.
    """

    def __init__(self, config: VaultConfig) -> None:
        self._config = config

    async def get_credentials(self, group_id: str, provider_name: str) -> Mapping[str, str]:
        config = self._config
        path = "/".join(_segment(part) for part in (group_id, provider_name))
        request = HttpRequest(
            "GET",
            f"{config.address.rstrip('/')}/v1/{config.mount}/data/{config.prefix}/{path}",
            headers=self._headers(),
            timeout_secs=config.timeout_secs,
            credential_headers=frozenset({"x-vault-token"}),
            max_response_bytes=_MAX_BYTES,
        )
        http = PooledHttpClient()
        try:
            response = await http.send(request)
        except NodeError as error:
            raise CredentialError.broken(error.failure.text) from None
        finally:
            await http.aclose()
        match response.status_code:
            case 200:
                return _secret_in(response.content)
            case 404:
                raise CredentialError.not_found(group_id, provider_name)
            case 401 | 403:
                raise CredentialError.denied(f"group={group_id}, provider={provider_name}")
            case status:
                raise CredentialError.broken(f"the server answers {status}")

    def _headers(self) -> tuple[tuple[str, str], ...]:
        config = self._config
        token = read_private(config.token_file).strip() if config.token_file else config.token
        headers = [("X-Vault-Token", token), ("X-Vault-Request", "true")]
        if config.namespace:
            headers.append(("X-Vault-Namespace", config.namespace))
        return tuple(headers)


def _segment(name: str) -> str:
    """A name as one segment of a path, whatever it holds."""
    if name in ("", ".", ".."):
        raise CredentialError.denied(f"'{name}' is no name")
    return quote(name, safe="")


def _secret_in(content: bytes) -> Mapping[str, str]:
    try:
        answer: Any = json.loads(content)
        found = cast("dict[str, Any]", answer["data"]["data"])
        return {str(key): str(value) for key, value in found.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CredentialError.broken("the answer is none of a KV store of version 2") from None
