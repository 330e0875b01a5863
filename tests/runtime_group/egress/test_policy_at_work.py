"""A client under a policy against real servers that redirect, and names that change their mind."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from tests.runtime_group.conftest import Reply, Seen, Server
from tests.runtime_group.egress.names import FakeResolver
from xworkflow.domain.network_policy import NetworkMode, NetworkPolicy
from xworkflow.errors import NodeError
from xworkflow.ports import HttpRequest
from xworkflow.runtime_group.egress import EgressRefused, NetworkGuard
from xworkflow.runtime_group.egress.body import MAX_RATIO
from xworkflow.runtime_group.http import HttpClientProvider, PooledHttpClient

HERE = ("127.0.0.1/32",)
"""The test's own server counts as public; everything else of this machine is inside."""


def client_of(
    policy: NetworkPolicy, names: Mapping[str, Sequence[Sequence[str]]] | None = None
) -> PooledHttpClient:
    return PooledHttpClient(None, NetworkGuard(policy), FakeResolver(names or {}))


def public(server: Server, **more: Any) -> NetworkPolicy:
    """A policy under which this server may be asked."""
    return NetworkPolicy(allowed_addresses=HERE, allowed_ports=(server.port,), **more)


def get(url: str, **more: Any) -> HttpRequest:
    return HttpRequest("GET", url, timeout_secs=5, **more)


def redirecting(status: int, location: str) -> Callable[[Seen], Reply]:
    def answer(seen: Seen) -> Reply:
        return Reply(status, headers={"Location": location}) if seen.path == "/" else Reply()

    return answer


async def refusal(client: PooledHttpClient, request: HttpRequest) -> EgressRefused:
    with pytest.raises(EgressRefused) as caught:
        await client.send(request)
    await client.aclose()
    return caught.value


# --- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("target", "rule"),
    [
        ("http://10.0.0.1:{port}/", "block_private_ips"),
        ("http://127.0.0.2:{port}/", "block_loopback"),
        ("http://2130706434:{port}/", "block_loopback"),
        ("http://[::1]:{port}/", "block_loopback"),
        ("http://[::ffff:a00:1]:{port}/", "block_private_ips"),
        ("http://169.254.169.254:{port}/latest", "block_metadata_endpoints"),
        ("http://inside.example:{port}/", "block_private_ips"),
        ("//inside.example:{port}/", "block_private_ips"),
        ("http://127.0.0.1:22/", "allowed_ports"),
        ("file:///etc/passwd", "valid_url"),
        ("gopher://127.0.0.1:{port}/", "valid_url"),
        ("http://x@127.0.0.1:{port}/", "allow_user_info"),
    ],
)
async def test_a_redirect_to_the_inside_is_refused(
    server: Server, status: int, target: str, rule: str
) -> None:
    server.answer = redirecting(status, target.format(port=server.port))
    client = client_of(public(server), {"inside.example": [["10.0.0.1"]]})
    error = await refusal(client, get(f"{server.url}/"))
    assert error.rule == rule
    assert "Redirect blocked: " in str(error)
    assert len(server.seen) == 1


async def test_the_policy_says_how_many_redirects_are_followed(server: Server) -> None:
    server.answer = lambda _: Reply(302, headers={"Location": "/again"})
    client = client_of(public(server))
    with pytest.raises(NodeError, match="more than 3 redirects"):
        await client.send(get(server.url))
    await client.aclose()
    assert len(server.seen) == 4


async def test_credentials_stay_with_their_origin_on_the_way_through_a_name(
    server: Server,
) -> None:
    server.answer = redirecting(307, f"http://other.example:{server.port}/next")
    client = client_of(public(server), {"other.example": [["127.0.0.1"]]})
    await client.send(get(f"{server.url}/", headers=(("Authorization", "a"), ("X-Trace", "b"))))
    await client.aclose()
    assert "authorization" not in server.seen[1].headers
    assert server.seen[1].headers["x-trace"] == "b"


# --- rebinding


async def test_a_name_is_asked_once_for_a_connection_and_the_answer_is_where_it_goes(
    server: Server,
) -> None:
    names = FakeResolver({"rebind.example": [["127.0.0.1"], ["10.0.0.1"]]})
    client = PooledHttpClient(None, NetworkGuard(public(server)), names)
    response = await client.send(get(f"http://rebind.example:{server.port}/"))
    assert response.status_code == 200
    assert names.asked == ["rebind.example"]
    assert server.seen[0].headers["host"] == f"rebind.example:{server.port}"
    await client.aclose()


async def test_a_name_that_changes_its_mind_is_checked_again_when_it_is_connected_to_again(
    server: Server,
) -> None:
    server.answer = lambda _: Reply(headers={"Connection": "close"}, hang_up=True)
    client = client_of(public(server), {"rebind.example": [["127.0.0.1"], ["10.0.0.1"]]})
    url = f"http://rebind.example:{server.port}/"
    await client.send(get(url))
    assert "rebind.example -> 10.0.0.1" in str(await refusal(client, get(url)))
    assert len(server.seen) == 1


async def test_one_bad_address_among_good_ones_refuses_the_name(server: Server) -> None:
    client = client_of(public(server), {"mixed.example": [["127.0.0.1", "fd00::1"]]})
    error = await refusal(client, get(f"http://mixed.example:{server.port}/"))
    assert error.rule == "block_private_ips"
    assert server.seen == []


async def test_a_host_header_cannot_ask_an_allowed_server_for_another_name(
    server: Server,
) -> None:
    client = client_of(public(server))
    await client.send(get(server.url, headers=(("Host", "admin.internal"),)))
    await client.aclose()
    assert server.seen[0].headers["host"] == f"127.0.0.1:{server.port}"


# --- lists


@pytest.mark.parametrize(
    ("policy", "url", "rule"),
    [
        (NetworkPolicy(mode=NetworkMode.ALLOW_LIST), "http://a.example/", "allowed_domains"),
        (
            NetworkPolicy(mode=NetworkMode.ALLOW_LIST, allowed_domains=("*.a.example",)),
            "http://xa.example/",
            "allowed_domains",
        ),
        (
            NetworkPolicy(
                mode=NetworkMode.ALLOW_LIST,
                allowed_domains=("*.a.example",),
                denied_domains=("admin.a.example",),
            ),
            "http://Admin.A.Example./",
            "denied_domains",
        ),
        (NetworkPolicy(denied_domains=("*.b.example",)), "http://b.example/", "denied_domains"),
        (NetworkPolicy(mode=NetworkMode.ALLOW_LIST), "http://93.184.216.34/", "allowed_domains"),
        (
            NetworkPolicy(denied_addresses=("93.184.0.0/16",)),
            "http://93.184.216.34/",
            "denied_addresses",
        ),
        (NetworkPolicy(allowed_schemes=("https",)), "http://a.example/", "allowed_schemes"),
        (NetworkPolicy(denied_ports=(8443,)), "https://a.example:8443/", "denied_ports"),
        (NetworkPolicy.closed(), "https://a.example/", "allowed_domains"),
    ],
)
def test_the_refusal_names_the_rule(policy: NetworkPolicy, url: str, rule: str) -> None:
    with pytest.raises(EgressRefused) as caught:
        client_of(policy).check_url(url)
    assert caught.value.rule == rule
    assert f"(rule {rule})" in str(caught.value)
    assert caught.value.failure.metadata["rule"] == rule
    assert not caught.value.failure.retryable


@pytest.mark.parametrize(
    ("policy", "url"),
    [
        (
            NetworkPolicy(mode=NetworkMode.ALLOW_LIST, allowed_domains=("*.A.Example",)),
            "http://a.example/",
        ),
        (
            NetworkPolicy(mode=NetworkMode.ALLOW_LIST, allowed_domains=("*.a.example",)),
            "http://x.y.a.example/",
        ),
        (
            NetworkPolicy(mode=NetworkMode.ALLOW_LIST, allowed_domains=("bücher.example",)),
            "http://bücher.example/",
        ),
        (
            NetworkPolicy(mode=NetworkMode.ALLOW_LIST, allowed_addresses=("10.2.0.0/16",)),
            "http://10.2.3.4/",
        ),
        (NetworkPolicy(allowed_ports=()), "http://a.example:9/"),
        (NetworkPolicy(allow_user_info=True), "http://u:p@a.example/"),
        (NetworkPolicy(block_private_ips=False), "http://10.0.0.1/"),
        (NetworkPolicy(block_loopback=False), "http://127.0.0.1/"),
    ],
)
def test_what_the_policy_allows_passes(policy: NetworkPolicy, url: str) -> None:
    client_of(policy).check_url(url)


@pytest.mark.parametrize("host", ["169.254.169.254", "metadata.google.internal", "[fd00:ec2::254]"])
def test_no_policy_opens_metadata_services(host: str) -> None:
    policy = NetworkPolicy(
        allowed_addresses=("0.0.0.0/0", "::/0"), block_private_ips=False, block_loopback=False
    )
    with pytest.raises(EgressRefused) as caught:
        client_of(policy).check_url(f"http://{host}/")
    assert caught.value.rule == "block_metadata_endpoints"


async def test_groups_with_equal_policies_still_share_no_client_and_one_group_keeps_its_own() -> (
    None
):
    provider = HttpClientProvider()
    one, same = NetworkGuard(NetworkPolicy()), NetworkGuard(NetworkPolicy())
    assert provider.client("a", one) is provider.client("a", same)
    assert provider.client("a", one) is not provider.client("b", same)
    assert provider.client("a", one) is not provider.client(
        "a", NetworkGuard(NetworkPolicy.closed())
    )
    assert provider.stats().active_groups == 3
    await provider.aclose()


# --- packed bodies


@pytest.mark.parametrize("limit", [None, 200 * 1024 * 1024])
async def test_a_decompression_bomb_is_refused_whatever_the_limit(
    server: Server, limit: int | None
) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    server.answer = lambda _: Reply(body=bomb, headers={"Content-Encoding": "gzip"})
    client = client_of(public(server))
    with pytest.raises(NodeError, match="rule max_decompression_ratio"):
        await client.send(get(server.url, max_response_bytes=limit))
    await client.aclose()
    assert len(bomb) * MAX_RATIO < 50_000_000


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b"one") + gzip.compress(b" two")),
        ("GZIP", gzip.compress(b"one two") + b"\0\0\0"),
        ("x-gzip", gzip.compress(b"one two")),
        ("deflate", zlib.compress(b"one two")),
        ("deflate", zlib.compress(b"one two", wbits=-zlib.MAX_WBITS)),
        ("identity", b"one two"),
    ],
    ids=["two members", "filled with zeros", "old name", "zlib", "bare deflate", "as it is"],
)
async def test_packed_bodies_are_unpacked(server: Server, encoding: str, packed: bytes) -> None:
    server.answer = lambda _: Reply(body=packed, headers={"Content-Encoding": encoding})
    client = client_of(public(server))
    response = await client.send(get(server.url))
    await client.aclose()
    assert response.content == b"one two"


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", b"no gzip at all"),
        ("gzip", gzip.compress(bytes(1000))[:-9]),
        ("gzip, gzip", gzip.compress(gzip.compress(b"x"))),
        ("br", b"x"),
        ("deflate", b"\xff\xff\xff"),
    ],
    ids=["no gzip", "cut off", "twice", "unknown", "no deflate"],
)
async def test_what_is_not_packed_as_it_should_be_is_an_http_error(
    server: Server, encoding: str, packed: bytes
) -> None:
    server.answer = lambda _: Reply(body=packed, headers={"Content-Encoding": encoding})
    client = client_of(public(server))
    with pytest.raises(NodeError) as caught:
        await client.send(get(server.url))
    await client.aclose()
    assert caught.value.failure.code == "http_error"
    assert "unreadable response" in str(caught.value)


async def test_a_body_that_came_in_one_piece_is_unpacked_in_small_ones(server: Server) -> None:
    text = b"".join(b"%d," % number for number in range(1_000_000))
    server.answer = lambda _: Reply(body=gzip.compress(text), headers={"Content-Encoding": "gzip"})
    client = client_of(public(server))
    assert (await client.send(get(server.url))).content == text
    await client.aclose()
