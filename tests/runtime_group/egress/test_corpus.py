"""Every way inside that is known, against the standard policy: all refused, none slow."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from tests.runtime_group.egress.names import FakeResolver
from tests.runtime_group.egress.spellings import NAMES_INSIDE, corpus
from xworkflow.domain.network_policy import NetworkPolicy
from xworkflow.errors import NodeError
from xworkflow.ports import HttpRequest
from xworkflow.runtime_group.egress import EgressRefused, NetworkGuard
from xworkflow.runtime_group.http import PooledHttpClient

CORPUS = corpus()
SLOWEST_SECS = 0.5


@pytest.fixture
async def client() -> AsyncIterator[PooledHttpClient]:
    names = {name: [addresses] for name, addresses in NAMES_INSIDE.items()}
    names["public.example"] = [["93.184.216.34"]]
    made = PooledHttpClient(None, NetworkGuard(NetworkPolicy()), FakeResolver(names))
    yield made
    await made.aclose()


def test_the_corpus_is_large() -> None:
    assert len(CORPUS) > 1500


async def test_every_way_inside_is_refused_and_none_is_slow(client: PooledHttpClient) -> None:
    passed: list[str] = []
    slow: list[tuple[str, float]] = []
    for url in CORPUS:
        began = time.perf_counter()
        try:
            await client.send(HttpRequest("GET", url, timeout_secs=2))
            passed.append(url)
        except EgressRefused as refusal:
            assert refusal.failure.code == "input_validation_error"  # noqa: PT017
            assert f"(rule {refusal.rule})" in str(refusal)  # noqa: PT017
        except NodeError as error:
            passed.append(f"{url}: {error}")
        took = time.perf_counter() - began
        if took > SLOWEST_SECS:
            slow.append((url, took))
    assert passed == []
    assert slow == []


async def test_refusals_tell_neither_path_nor_query(client: PooledHttpClient) -> None:
    for url in ("http://10.0.0.1/p?key=s3cret", "http://u:s3cret@x/", "ftp://h/s3cret"):
        with pytest.raises(EgressRefused) as caught:
            await client.send(HttpRequest("GET", url))
        assert "s3cret" not in str(caught.value)
        assert "s3cret" not in str(caught.value.failure.metadata)


@pytest.mark.parametrize(
    "url",
    ["http://public.example/", "https://Public.Example.:443/a?b=c#d", "http://public.example:8080"],
)
def test_plain_public_urls_pass(client: PooledHttpClient, url: str) -> None:
    client.check_url(url)
