"""What a file names and does not hold: other files, and values that are secret."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Self, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo, model_validator

from xworkflow.errors import InfrastructureError
from xworkflow.private_files import read_private


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    context = cast("Mapping[str, Path] | None", info.context)
    if "\0" in str(path):
        raise ValueError("there is no such path")
    try:
        return (context or {}).get("directory", Path()) / path.expanduser()
    except RuntimeError:
        raise ValueError("there is no such user") from None


NamedPath = Annotated[Path, AfterValidator(_beside_the_file)]
"""A path; a relative one starts where the file is."""


_HOW: Final = 'name a variable ({ env = "NAME" }) or a file ({ file = "PATH" })'


class Reference(BaseModel):
    """``{ env = "NAME" }`` or ``{ file = "/run/secrets/name" }`` (of its owner alone)."""

    model_config = ConfigDict(frozen=True)

    env: str | None = None
    file: NamedPath | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_no_value(cls, given: object) -> object:
        if isinstance(given, str):
            raise ValueError(f"a secret does not belong into this file: {_HOW}")  # noqa: TRY004 - pydantic's way
        return given

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError(_HOW)
        return self

    def resolved(self, environment: Mapping[str, str] | None = None) -> str:
        """The value. Raises InfrastructureError that names the variable or the file."""
        if self.file is not None:
            return read_private(self.file).strip()
        found = (os.environ if environment is None else environment).get(self.env or "", "")
        if not found.strip():
            raise InfrastructureError(f"the environment variable {self.env} is not set")
        return found.strip()


def resolved(value: str | Reference | None) -> str | None:
    """The value itself, or what it refers to. Raises InfrastructureError."""
    return value.resolved() if isinstance(value, Reference) else value
