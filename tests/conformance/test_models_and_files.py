"""Dify drawings that ask a model and move files, run as ``xworkflow test`` runs them."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from temporalio.client import Client

from xworkflow.testing.cases import Verdict
from xworkflow.testing.run import run_folders

pytestmark = [pytest.mark.temporal, pytest.mark.conformance]

ANSWER = json.dumps(
    {
        "model": "gpt-4o",
        "choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }
)


def chain(*nodes: dict[str, Any], outputs: dict[str, list[str]]) -> str:
    """An export whose nodes run one after the other, from a start to an end."""
    end = [{"variable": name, "value_selector": where} for name, where in outputs.items()]
    drawn: list[dict[str, Any]] = [
        {"id": "start", "type": "start", "variables": []},
        *nodes,
        {"id": "end", "type": "end", "outputs": end},
    ]
    ids = [node["id"] for node in drawn]
    return yaml.safe_dump(
        {
            "kind": "app",
            "version": "0.3.0",
            "app": {"name": "t", "mode": "workflow"},
            "workflow": {
                "graph": {
                    "nodes": [{"id": n["id"], "data": {"title": n["id"], **n}} for n in drawn],
                    "edges": [{"id": a, "source": a, "target": b} for a, b in pairwise(ids)],
                }
            },
        }
    )


async def verdict(folder: Path, client: Client, workflow: str, state: str, out: str) -> Verdict:
    (folder / "workflow.yml").write_text(workflow)
    (folder / "state.toml").write_text(state)
    (folder / "out.toml").write_text(out)
    (found,) = await run_folders([folder], client)
    return found


async def test_a_prompt_is_made_of_context_jinja_and_memory(
    temporal_client: Client, tmp_path: Path
) -> None:
    prompt = [
        {"role": "system", "text": "Use {{#context#}}."},
        {
            "role": "user",
            "edition_type": "jinja2",
            "jinja2_text": "{% set all = names %}{% for n in all %}{{ n }};{% endfor %}",
        },
    ]
    llm = {
        "id": "llm",
        "type": "llm",
        "model": {
            "provider": "langgenius/openai/openai",
            "name": "gpt-4o",
            "completion_params": {"temperature": 0.5, "stop": ["x"]},
        },
        "prompt_template": prompt,
        "prompt_config": {
            "jinja2_variables": [{"variable": "names", "value_selector": ["sys", "names"]}]
        },
        "context": {"enabled": True, "variable_selector": ["sys", "facts"]},
        "memory": {"window": {"enabled": False}, "query_prompt_template": ""},
        "vision": {"enabled": True, "configs": {"detail": "low"}},
    }
    parts = [
        {"type": "image_url", "image_url": {"url": "http://h/a.png", "detail": "low"}},
        {"type": "text", "text": "why?"},
    ]
    messages = [
        {"role": "system", "content": "Use facts."},
        {"role": "user", "content": "a;b;"},
        {"role": "user", "content": parts},
    ]
    body = json.dumps(messages, separators=(",", ":"))
    escaped = "".join(f"\\{c}" if c in "[]{}?.|()" else c for c in body)
    state = f"""
[system_variables]
query = "why?"
names = ["a", "b"]
facts = "facts"
files = [{{type = "image", transfer_method = "remote_url", url = "http://h/a.png"}}]
[llm_providers.openai]
api_key = "k"
[[mock_server]]
method = "POST"
path = "/v1/chat/completions"
match_body = '{escaped}'
match_headers = {{authorization = "Bearer k"}}
response_body = '{ANSWER}'
"""
    outputs = {"text": ["llm", "text"], "why": ["llm", "finish_reason"]}
    out = '[outputs]\ntext = "fine"\nwhy = "stop"\n'
    found = await verdict(tmp_path, temporal_client, chain(llm, outputs=outputs), state, out)
    assert found.outcome == "passed", found.problems


async def test_a_rate_limit_is_waited_for_and_the_call_made_again(
    temporal_client: Client, tmp_path: Path
) -> None:
    llm = {
        "id": "llm",
        "type": "llm",
        "model": {"provider": "openai", "name": "gpt-4o"},
        "prompt_template": [{"role": "user", "text": "hello"}],
        "retry_config": {"retry_enabled": True, "max_retries": 1, "retry_interval": 60_000},
    }
    state = f"""
[llm_providers.openai]
api_key = "k"
[[mock_server]]
method = "POST"
path = "/v1/chat/completions"
response_status = 429
response_headers = {{retry-after = "0"}}
[[mock_server]]
method = "POST"
path = "/v1/chat/completions"
response_body = '{ANSWER}'
"""
    workflow = chain(llm, outputs={"text": ["llm", "text"]})
    found = await verdict(tmp_path, temporal_client, workflow, state, '[outputs]\ntext = "fine"\n')
    assert found.outcome == "passed", found.problems


async def test_a_file_of_a_message_is_fetched_under_the_network_policy(
    temporal_client: Client, tmp_path: Path
) -> None:
    pick = {
        "id": "pick",
        "type": "list-operator",
        "variable": ["sys", "files"],
        "filter_by": {
            "enabled": True,
            "conditions": [{"key": "type", "comparison_operator": "in", "value": ["document"]}],
        },
        "limit": {"enabled": False, "size": 10},
    }
    send = {
        "id": "send",
        "type": "http-request",
        "method": "post",
        "url": "{{#sys.base_url#}}/upload",
        "authorization": {"type": "no-auth"},
        "body": {
            "type": "binary",
            "data": [{"type": "file", "file": ["pick", "first_record"]}],
        },
    }
    state = """
[system_variables]
files = [
  {type = "image", transfer_method = "remote_url", url = "http://h/a.png"},
  {type = "document", transfer_method = "remote_url", url = "http://169.254.169.254/a.txt"},
]
[[mock_server]]
method = "POST"
path = "/upload"
"""
    workflow = chain(pick, send, outputs={"body": ["send", "body"]})
    out = 'status = "failed"\nerror_contains = "169.254.169.254"\n'
    found = await verdict(tmp_path, temporal_client, workflow, state, out)
    assert found.outcome == "passed", found.problems
