"""Providers of credentials: the environment, a file, and a cache before a slow one.

A provider is asked inside activities only. Its errors name groups and providers, never values.
``*`` stands for groups that have no entry of their own, and ``default`` for the group without a
name.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, Final, cast

from xworkflow.errors import CredentialError, CredentialNotFoundError, InfrastructureError
from xworkflow.ports import CredentialProvider
from xworkflow.private_files import read_private

PREFIX: Final = "XWORKFLOW_CREDENTIALS"
ANY_GROUP: Final = "*"

_PLAIN_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MAX_CACHED: Final = 4096


class EnvironmentCredentials:
    """From variables ``XWORKFLOW_CREDENTIALS__<GROUP>__<PROVIDER>__<KEY>``.

    Names in capitals, ``-`` as ``_``; without ``<GROUP>__`` they are every group's. Only names of
    small letters, digits and single ``-`` are found, so that no two groups mean one variable.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment

    async def get_credentials(self, group_id: str, provider_name: str) -> Mapping[str, str]:
        shared = self._below(f"{PREFIX}__{_spelt(provider_name)}__")
        own = self._below(f"{PREFIX}__{_spelt(group_id)}__{_spelt(provider_name)}__")
        if not shared and not own:
            raise CredentialError.not_found(group_id, provider_name)
        return {**shared, **own}

    def _below(self, prefix: str) -> dict[str, str]:
        found = {k[len(prefix) :]: v for k, v in self._environment.items() if k.startswith(prefix)}
        # a key holds no "__": then it is another provider's, of a group that is called so
        return {key.lower(): value for key, value in found.items() if key and "__" not in key}


def _spelt(name: str) -> str:
    if not _PLAIN_NAME.fullmatch(name):
        raise CredentialError.denied(f"the name '{name}' cannot be spelt as a variable")
    return name.upper().replace("-", "_")


class FileCredentials:
    """From a TOML or JSON file of its owner alone, read again when it has changed::

    [tenant-1.openai]            # group, provider
    api_key = "…"
    ["*".openai]                 # every other group
    api_key = "…"
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at: tuple[int, int] | None = None
        self._table: Mapping[str, Any] = {}

    async def get_credentials(self, group_id: str, provider_name: str) -> Mapping[str, str]:
        table = self._current()
        for group in (group_id, ANY_GROUP):
            found = _table(_table(table.get(group)).get(provider_name))
            if found:
                return {str(key): str(value) for key, value in found.items()}
        raise CredentialError.not_found(group_id, provider_name)

    def _current(self) -> Mapping[str, Any]:
        try:
            state = self._path.stat()
            version = (state.st_mtime_ns, state.st_ino)
            if version != self._read_at:
                self._table = self._parsed(read_private(self._path))
                self._read_at = version
        except (OSError, InfrastructureError) as error:
            reason = str(error) if isinstance(error, InfrastructureError) else error.strerror
            raise CredentialError.broken(str(reason)) from None
        return self._table

    def _parsed(self, text: str) -> Mapping[str, Any]:
        try:
            if self._path.suffix == ".json":
                return _table(json.loads(text))
            return tomllib.loads(text)
        except ValueError:  # whose text quotes the file
            raise CredentialError.broken(f"{self._path} is no TOML or JSON") from None


def _table(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


class ChainedCredentials:
    """The first provider that has them."""

    def __init__(self, *providers: CredentialProvider) -> None:
        self._providers = providers

    async def get_credentials(self, group_id: str, provider_name: str) -> Mapping[str, str]:
        for provider in self._providers:
            try:
                return await provider.get_credentials(group_id, provider_name)
            except CredentialNotFoundError:
                continue
        raise CredentialError.not_found(group_id, provider_name)


class OptionalCredentials:
    """Another provider's answers, or none: then a model's provider works with its own key."""

    def __init__(self, provider: CredentialProvider) -> None:
        self._provider = provider

    async def get_credentials(self, group_id: str, provider_name: str) -> Mapping[str, str]:
        try:
            return await self._provider.get_credentials(group_id, provider_name)
        except CredentialNotFoundError:
            return {}


class CachedCredentials:
    """Another provider's answers for ``ttl_secs``. What was not found is asked for again."""

    def __init__(
        self,
        provider: CredentialProvider,
        ttl_secs: float = 300,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._provider = provider
        self._ttl = ttl_secs
        self._clock = clock
        self._kept: dict[tuple[str, str], tuple[float, Mapping[str, str]]] = {}

    async def get_credentials(self, group_id: str, provider_name: str) -> Mapping[str, str]:
        key, now = (group_id, provider_name), self._clock()
        until, found = self._kept.get(key, (now, {}))
        if now < until:
            return found
        found = await self._provider.get_credentials(group_id, provider_name)
        if len(self._kept) >= _MAX_CACHED:
            self._kept.pop(next(iter(self._kept)))
        self._kept[key] = (now + self._ttl, dict(found))
        return found

    def forget(self) -> None:
        """Ask anew from now on, as after a rotation."""
        self._kept.clear()
