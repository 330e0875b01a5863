"""The secrets of one attempt: fetched where the node may read them, masked wherever they come back.

The value of a secret variable is looked for in the group's ``secret_store`` (it came with the file)
and then in its credential provider, under the provider name ``env``.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, Final, cast

from xworkflow.activities.attempt_audit import AttemptAudit
from xworkflow.domain.placeholders import render
from xworkflow.domain.secret_references import (
    LLM_TYPES,
    NAMESPACE,
    READERS,
    is_reference,
    scope_at,
    store_key,
)
from xworkflow.domain.selectors import Selector
from xworkflow.domain.values import JsonValue
from xworkflow.domain.wire import DEFAULT_GROUP, CrossedValue, NodeTask
from xworkflow.errors import CredentialNotFoundError, EngineError, NodeError
from xworkflow.ports import (
    CredentialProvider,
    HttpClient,
    HttpRequest,
    HttpResponse,
    HttpStream,
)
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.runtime_group.masking import Masker

PROVIDER: Final = "env"


class AttemptSecrets:
    """Resolves, and remembers what it gave out."""

    def __init__(self, group: RuntimeGroup, masker: Masker, audit: AttemptAudit) -> None:
        self._group = group
        self._masker = masker
        self._audit = audit

    async def filled(self, task: NodeTask, *, foreign: bool) -> NodeTask:
        """The task with its secrets in the fields that may have them. Raises NodeError.

        A node that may not read secrets gets the references, which hold nothing.
        """
        if foreign or task.node_type in READERS:
            return task.model_copy(
                update={"values": await self._values(task), "pool": await self._pool(task.pool)}
            )
        if task.node_type in LLM_TYPES and any(map(_is_secret, task.values)):
            return task.model_copy(update={"data": await self._with_credentials(task)})
        return task

    def watching(self, provider: CredentialProvider | None) -> CredentialProvider | None:
        """The group's provider, whose answers are masked from now on."""
        return None if provider is None else _Watched(provider, self._masker)

    async def _values(self, task: NodeTask) -> tuple[CrossedValue, ...]:
        return tuple(
            [
                crossed.model_copy(update={"value": await self._value(crossed)})
                if _is_secret(crossed)
                else crossed
                for crossed in task.values
            ]
        )

    async def _pool(
        self, pool: dict[str, dict[str, JsonValue]] | None
    ) -> dict[str, dict[str, JsonValue]] | None:
        """The snapshot of an executor that reads all."""
        if pool is None or not any(map(is_reference, pool.get(NAMESPACE, {}).values())):
            return pool
        space = {
            name: await self._value(CrossedValue(selector=(NAMESPACE, name), value=value))
            for name, value in pool[NAMESPACE].items()
        }
        return {**pool, NAMESPACE: space}

    async def _with_credentials(self, task: NodeTask) -> dict[str, JsonValue]:
        """The data of a model's node: references in its credentials are replaced, no others."""
        known = {value.selector: await self._value(value) for value in task.values}
        model = cast("dict[str, Any]", task.data.get("model") or {})
        credentials = cast("Mapping[str, Any]", model.get("credentials") or {})

        def get(selector: Selector) -> JsonValue:
            return known.get(selector)

        filled = {
            name: render(value, get, task.dialect) if isinstance(value, str) else value
            for name, value in credentials.items()
        }
        return {**task.data, "model": {**model, "credentials": filled}}

    async def _value(self, crossed: CrossedValue) -> JsonValue:
        scope = scope_at(crossed.selector, crossed.value)
        if scope is None:
            return crossed.value
        name = crossed.selector[1]
        try:
            found = await self._find(scope, name)
        except EngineError as error:
            self._audit.credential(PROVIDER, success=False)
            text = f"the secret variable 'env.{name}' cannot be had: {error}"
            raise NodeError.of_kind("config_error", text) from None
        self._audit.credential(PROVIDER, success=True)
        self._masker.add(found)
        return found

    async def _find(self, scope: str, name: str) -> str:
        found = self._group.secret_store.find(store_key(self._group.group_id, scope), name)
        if found is not None:
            return found
        provider, group_id = self._group.credential_provider, self._group.group_id or DEFAULT_GROUP
        if provider is not None:
            known = await provider.get_credentials(group_id, PROVIDER)
            for spelling in (name, name.lower()):
                if spelling in known:
                    return known[spelling]
        raise CredentialNotFoundError(
            f"Credential not found: group={group_id}, provider={PROVIDER}, key={name}"
        )


class HttpWithSecrets:
    """A ``ports.HttpClient`` that knows which headers and bodies hold secrets of the attempt: they
    stay with the origin that they were drawn for."""

    def __init__(self, http: HttpClient, masker: Masker) -> None:
        self._http = http
        self._masker = masker

    async def send(self, request: HttpRequest) -> HttpResponse:
        return await self._http.send(self._marked(request))

    def stream(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpStream]:
        return self._http.stream(self._marked(request))

    def check_url(self, url: str) -> None:
        self._http.check_url(url)

    def _marked(self, request: HttpRequest) -> HttpRequest:
        if not self._masker:
            return request
        names = {name.lower() for name, value in request.headers if self._masker.finds_in(value)}
        body = (request.content or b"").decode(errors="replace")
        return replace(
            request,
            credential_headers=request.credential_headers | names,
            credential_body=request.credential_body or self._masker.finds_in(body),
        )


class _Watched:
    def __init__(self, provider: CredentialProvider, masker: Masker) -> None:
        self._provider = provider
        self._masker = masker

    async def get_credentials(self, group_id: str, provider_name: str) -> Mapping[str, str]:
        found = await self._provider.get_credentials(group_id, provider_name)
        for key, value in found.items():
            if key not in _TOLD:
                self._masker.add(value)
        return found


_TOLD: Final = frozenset({"base_url"})
"""Keys whose values are no secrets, and stand in errors that people must read."""


def _is_secret(crossed: CrossedValue) -> bool:
    return scope_at(crossed.selector, crossed.value) is not None
