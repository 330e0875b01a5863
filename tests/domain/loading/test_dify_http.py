"""Dify's http-request node in the native spelling."""

from __future__ import annotations

import json
from typing import Any

import pytest

from xworkflow.domain.loading import load
from xworkflow.nodes.http_data import HttpRequestData


def data_of(**data: Any) -> dict[str, Any]:
    node = {"id": "n", "data": {"type": "http-request", "method": "get", **data}}
    found = load(json.dumps({"nodes": [node], "edges": []}), "json").nodes[0].data
    if data.get("body", {}).get("type") != "binary":
        HttpRequestData.model_validate(found)
    return found


def test_the_method_is_in_capitals() -> None:
    assert data_of(method="post")["method"] == "POST"


@pytest.mark.parametrize("field", ["headers", "params"])
@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ("", []),
        (None, []),
        ("A:1", [("A", "1")]),
        ("A: 1\r\n\n b :x:y \nonly", [("A", "1"), ("b", "x:y"), ("only", "")]),
        ("to:{{#n.url#}}", [("to", "{{#n.url#}}")]),
        (": no key", []),
        ([{"key": "k", "value": "v"}], [("k", "v")]),
    ],
)
def test_lines_become_pairs(field: str, drawn: Any, expected: list[tuple[str, str]]) -> None:
    found = data_of(**{field: drawn})[field]
    assert [(pair["key"], pair["value"]) for pair in found] == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"type": "bearer", "api_key": "k"}, {"type": "bearer_token", "token": "k"}),
        (
            {"type": "bearer", "api_key": "k", "header": "X-Token"},
            {"type": "api_key", "key": "X-Token", "value": "Bearer k", "position": "header"},
        ),
        (
            {"type": "basic", "api_key": "ada:se:cret", "header": ""},
            {"type": "basic_auth", "username": "ada", "password": "se:cret"},
        ),
        (
            {"type": "basic", "api_key": "{{#env.u#}}:{{#env.p#}}"},
            {"type": "basic_auth", "username": "{{#env.u#}}", "password": "{{#env.p#}}"},
        ),
        (
            {"type": "basic", "api_key": "{{#env.a:b#}}"},
            {
                "type": "api_key",
                "key": "Authorization",
                "value": "Basic {{#env.a:b#}}",
                "position": "header",
            },
        ),
        (
            {"type": "basic", "api_key": "YTpi"},
            {
                "type": "api_key",
                "key": "Authorization",
                "value": "Basic YTpi",
                "position": "header",
            },
        ),
        (
            {"type": "custom", "api_key": "k", "header": "X-API-Key"},
            {"type": "api_key", "key": "X-API-Key", "value": "k", "position": "header"},
        ),
        (
            {"type": "custom", "api_key": "k", "header": None},
            {"type": "api_key", "key": "Authorization", "value": "k", "position": "header"},
        ),
    ],
)
def test_an_api_key_is_sent_as_dify_sends_it(
    config: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = data_of(authorization={"type": "api-key", "config": config})
    assert found["authorization"] == expected


def test_no_authorization_is_none() -> None:
    found = data_of(authorization={"type": "no-auth", "config": None})
    assert found["authorization"] == {"type": "no_auth"}


TEXT_FIELD = {"id": "u", "key": "a", "type": "text", "value": "1"}
FILE_FIELD = {"key": "f", "type": "file", "file": ["n", "files"]}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"type": "none", "data": []}, {"type": "none"}),
        ({"type": "none", "data": ""}, {"type": "none"}),
        (
            {"type": "form-data", "data": [TEXT_FIELD, FILE_FIELD]},
            {
                "type": "form_data",
                "data": [
                    {"key": "a", "value": "1"},
                    {"key": "f", "value": "", "type": "file", "file": ["n", "files"]},
                ],
            },
        ),
        (
            {"type": "x-www-form-urlencoded", "data": "a:1\nb:2"},
            {
                "type": "x_www_form_urlencoded",
                "data": [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}],
            },
        ),
        ({"type": "json", "data": '{"a": 1}'}, {"type": "json", "data": '{"a": 1}'}),
        (
            {"type": "json", "data": [{"key": "", "type": "text", "value": "{}"}]},
            {"type": "json", "data": "{}"},
        ),
        ({"type": "raw-text", "data": []}, {"type": "raw_text", "data": ""}),
        ({"type": "raw-text", "data": None}, {"type": "raw_text", "data": ""}),
        ({"type": "binary", "data": [FILE_FIELD]}, {"type": "binary", "data": ["n", "files"]}),
    ],
)
def test_bodies_of_all_exports_have_one_form(
    body: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert data_of(body=body)["body"] == expected


def test_parts_that_are_no_export_s_are_left_to_the_data_model() -> None:
    drawn: dict[str, Any] = {
        "headers": 5,
        "params": [],
        "body": {"type": 5},
        "method": 1,
        "authorization": {"type": "api-key"},
    }
    node = {"id": "n", "data": {"type": "http-request", **drawn}}
    assert load(json.dumps({"nodes": [node], "edges": []}), "json").nodes[0].data == drawn


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({}, None),
        ({"error_strategy": "fail-branch"}, True),
        ({"retry_config": {"retry_enabled": True, "max_retries": 1}}, True),
        ({"retry_config": {"retry_enabled": False, "max_retries": 1}}, None),
        ({"error_strategy": "fail-branch", "fail_on_error_status": False}, False),
    ],
)
def test_an_error_status_fails_a_node_that_says_what_to_do_then(
    policy: dict[str, Any], expected: bool | None
) -> None:
    assert data_of(**policy).get("fail_on_error_status") is expected


def test_timeouts_are_kept_in_both_spellings() -> None:
    timeout = {"max_connect_timeout": 0, "read": 30}
    assert data_of(timeout=timeout)["timeout"] == timeout
