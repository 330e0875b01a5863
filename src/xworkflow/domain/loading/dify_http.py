"""Dify's http-request node in the native spelling (spec/dify.md E2, spec/runtime.md 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, cast

from xworkflow.domain.loading.shapes import Object
from xworkflow.domain.values import JsonValue, display

_BODY_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "form-data": "form_data",
        "x-www-form-urlencoded": "x_www_form_urlencoded",
        "raw-text": "raw_text",
    }
)
_FORMS: Final = ("form-data", "x-www-form-urlencoded")
_REFERENCE: Final = ("{{#", "#}}")


def http_request(data: Object) -> Object:
    """The node's data; changes its top level only, the parts are made anew."""
    if isinstance(data.get("method"), str):
        data["method"] = data["method"].upper()
    for key in ("headers", "params"):
        data[key] = _pairs(data.get(key))
    for key, convert in (("authorization", _authorization), ("body", _body)):
        part = data.get(key)
        if isinstance(part, dict):
            data[key] = convert(cast("Object", part))
    return data


def _pairs(raw: JsonValue) -> JsonValue:
    """Lines of ``key:value`` as a list; a list is taken as it is."""
    if raw is None:
        return []
    if not isinstance(raw, str):
        return raw
    lines = (line.partition(":") for line in raw.split("\n"))
    return [{"key": key.strip(), "value": value.strip()} for key, _, value in lines if key.strip()]


def _authorization(raw: Object) -> Object:
    if raw.get("type") == "no-auth":
        return {"type": "no_auth"}
    config = raw.get("config")
    if raw.get("type") != "api-key" or not isinstance(config, dict):
        return raw
    return _api_key(cast("Object", config))


def _api_key(config: Object) -> Object:
    """The three ways in which Dify sends a key; all of them may name another header."""
    key, header = display(config.get("api_key")), display(config.get("header")) or "Authorization"
    prefix = {"basic": "Basic ", "bearer": "Bearer "}.get(display(config.get("type")), "")
    standard = header.lower() == "authorization"
    if prefix == "Bearer " and standard:
        return {"type": "bearer_token", "token": key}
    if prefix == "Basic " and standard and (user := _user_of(key)) is not None:
        return {"type": "basic_auth", "username": user, "password": key[len(user) + 1 :]}
    return {"type": "api_key", "key": header, "value": prefix + key, "position": "header"}


def _user_of(key: str) -> str | None:
    """The user where a key is ``user:password``: Dify encodes such a key, others are sent as drawn.

    A colon inside of a ``{{#…#}}`` reference does not count.
    """
    start = 0
    while (colon := key.find(":", start)) >= 0:
        opened = key.rfind(_REFERENCE[0], 0, colon)
        closed = key.find(_REFERENCE[1], colon)
        if opened < 0 or closed < 0 or _REFERENCE[1] in key[opened:colon]:
            return key[:colon]
        start = closed
    return None


def _body(raw: Object) -> Object:
    drawn = raw.get("type")
    if not isinstance(drawn, str):
        return {"type": "none"} if drawn is None else raw
    data = raw.get("data")
    if drawn == "none":
        return {"type": "none"}
    if drawn in _FORMS:
        return {"type": _BODY_TYPES[drawn], "data": _form(data)}
    member = "file" if drawn == "binary" else "value"
    return {"type": _BODY_TYPES.get(drawn, drawn), "data": _single(data, member)}


def _form(data: JsonValue) -> JsonValue:
    """The fields of a form; older exports have them as lines of text."""
    if not isinstance(data, list):
        return _pairs(data)
    return [
        _field(cast("Object", item)) for item in cast("list[Any]", data) if isinstance(item, dict)
    ]


def _field(item: Object) -> Object:
    field = {"key": item.get("key"), "value": item.get("value") or ""}
    if item.get("type") == "file":
        field |= {"type": "file", "file": item.get("file")}
    return field


def _single(data: JsonValue, member: str) -> JsonValue:
    """What a body of one piece holds; newer exports wrap it in a list of one field."""
    if not isinstance(data, list):
        return "" if data is None else data
    first: JsonValue = next(iter(cast("list[Any]", data)), None)
    return cast("Object", first).get(member) or "" if isinstance(first, dict) else ""
