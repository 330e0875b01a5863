"""How an http-request node is drawn (spec/runtime.md 4.1); Dify's form is loaded into this one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, cast

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from xworkflow.domain.selectors import Selector, parse_selector
from xworkflow.domain.values import JsonValue, display
from xworkflow.nodes.base import NodeData

Text = Annotated[str, BeforeValidator(display)]
"""A text; numbers and booleans are taken as they display."""


def _selector_or_none(raw: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    return parse_selector(raw) if raw else None


FileSelector = Annotated[tuple[str, ...] | None, BeforeValidator(_selector_or_none)]
"""Where a file to send is; absent, null and empty are none."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class KeyValue(_Part):
    key: Text
    value: Text = ""


class FormField(KeyValue):
    """``file`` selects the file of a file field, or a list of files (Dify)."""

    type: Literal["text", "file"] = "text"
    file: FileSelector = None


class NoBody(_Part):
    type: Literal["none"] = "none"


class FormBody(_Part):
    type: Literal["form_data", "x_www_form_urlencoded"]
    data: tuple[FormField, ...] = ()


class TextBody(_Part):
    """``data`` of a json body may be drawn as a text or as the value itself."""

    type: Literal["raw_text", "json"]
    data: JsonValue = ""


class BinaryBody(_Part):
    """A file as the whole body; ``data`` selects it (Dify)."""

    type: Literal["binary"]
    data: FileSelector = None


DrawnBody: TypeAlias = NoBody | FormBody | TextBody | BinaryBody
Body = Annotated[DrawnBody, Field(discriminator="type")]


class NoAuth(_Part):
    type: Literal["no_auth"] = "no_auth"


class ApiKey(_Part):
    type: Literal["api_key"]
    key: Text
    value: Text
    position: Literal["header", "query", "body"] = "header"


class BearerToken(_Part):
    type: Literal["bearer_token"]
    token: Text


class BasicAuth(_Part):
    type: Literal["basic_auth"]
    username: Text
    password: Text = ""


def _pairs(raw: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    if isinstance(raw, Mapping):
        return [{"key": k, "value": v} for k, v in cast("Mapping[str, Any]", raw).items()]
    return raw


class CustomHeaders(_Part):
    """``headers`` may be drawn as a map or as a list of ``{key, value}``."""

    type: Literal["custom_headers"]
    headers: Annotated[tuple[KeyValue, ...], BeforeValidator(_pairs)]


Authorization = Annotated[
    NoAuth | ApiKey | BearerToken | BasicAuth | CustomHeaders, Field(discriminator="type")
]


class TimeoutParts(_Part):
    """Dify's form, in seconds; absent and 0 mean Dify's default."""

    connect: float | None = Field(
        default=None, ge=0, validation_alias=AliasChoices("connect", "max_connect_timeout")
    )
    read: float | None = Field(
        default=None, ge=0, validation_alias=AliasChoices("read", "max_read_timeout")
    )
    write: float | None = Field(
        default=None, ge=0, validation_alias=AliasChoices("write", "max_write_timeout")
    )


class HttpRequestData(NodeData):
    """``timeout`` as a number bounds the whole request; absent and 0 mean the default."""

    method: Literal["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]
    url: str = ""
    headers: tuple[KeyValue, ...] = ()
    params: tuple[KeyValue, ...] = ()
    body: Body | None = None
    authorization: Authorization | None = None
    timeout: Annotated[float, Field(ge=0)] | TimeoutParts | None = None
    fail_on_error_status: bool = False
    ssl_verify: bool = True

    @property
    def file_fields(self) -> tuple[tuple[str, Selector | None], ...]:
        """(field path, selector) of every file that the body sends."""
        match self.body:
            case BinaryBody(data=selector):
                return (("body.data", selector),)
            case FormBody(type="form_data", data=fields):
                return tuple(
                    (f"body.data[{i}].file", field.file)
                    for i, field in enumerate(fields)
                    if field.type == "file"
                )
            case _:
                return ()
