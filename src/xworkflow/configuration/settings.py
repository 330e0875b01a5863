"""The whole file."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, StringConstraints

from xworkflow.configuration.group_settings import GroupSettings
from xworkflow.configuration.references import Reference
from xworkflow.domain.wire import DEFAULT_GROUP

_LONGEST_NAME: Final = 200


def _speakable(name: str) -> str:
    """A group's name is a part of a task queue, of workflow ids and of command lines."""
    if not name.isprintable() or " " in name or "/" in name or len(name) > _LONGEST_NAME:
        raise ValueError("the name of a group has no spaces and no slashes")
    return name


GroupId = Annotated[str, StringConstraints(min_length=1), AfterValidator(_speakable)]
ProviderId = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True)


class WorkerSettings(_Table):
    """What belongs to the process and not to a group. Options of the command win."""

    address: str | None = None
    processes: PositiveInt = 1
    stream_store: str | Reference | None = None
    """A database for live readers of answers."""
    governor_url: str | Reference | None = None
    """A Redis that counts the quotas of the groups; else workflows do."""
    sandbox_processes: PositiveInt | None = None
    """The most sandbox processes of all groups together, in each worker process."""


class ProviderSettings(_Table):
    """A server of models that speaks OpenAI's protocol, under the id that model nodes name.

    ``langgenius/openai/openai`` of a Dify export is found as ``openai``.
    """

    kind: Literal["openai"] = "openai"
    base_url: str | None = Field(default=None, pattern=r"^https?://\S+$")
    api_key: Reference | None = None
    org_id: str | None = None
    default_model: str | None = None


class Settings(_Table):
    """``xworkflow.toml``. A file without groups has the default one, of runs that name none.

    ``defaults`` lies under every group's table, key by key. Without ``providers`` groups have what
    the environment has keys for, as without a file.
    """

    worker: WorkerSettings = WorkerSettings()
    providers: dict[ProviderId, ProviderSettings] | None = None
    defaults: GroupSettings = GroupSettings()
    groups: dict[GroupId, GroupSettings] = Field(
        default_factory=lambda: {DEFAULT_GROUP: GroupSettings()}, min_length=1
    )
