"""What an address is for, and which one a host spells."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xworkflow.runtime_group.egress import EgressRefused
from xworkflow.runtime_group.egress.addresses import kind_of
from xworkflow.runtime_group.egress.urls import address_of, read_url


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("8.8.8.8", "public"),
        ("172.32.0.1", "public"),
        ("100.128.0.1", "public"),
        ("2606:4700::1111", "public"),
        ("64:ff9b::808:808", "public"),
        ("::ffff:8.8.8.8", "public"),
        ("2002:808:808::1", "private"),
        ("64:ff9b::a00:1", "private"),
        ("100.64.0.1", "private"),
        ("fd00::1", "private"),
        ("::", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("0.0.0.0", "loopback"),  # noqa: S104
        ("::ffff:169.254.169.254", "metadata"),
        ("2002:a9fe:a9fe::1", "metadata"),
        ("168.63.129.16", "metadata"),
        ("169.254.0.23", "metadata"),
        ("fd00:c1::a9fe:a9fe", "metadata"),
        ("64:ff9b:1::a9fe:a9fe", "metadata"),
        ("64:ff9b:1:a9fe:a9:fe00::", "metadata"),
        ("::ffff:0:a9fe:a9fe", "metadata"),
        ("64:ff9b:1::808:808", "private"),
        ("::ffff:0:808:808", "private"),
        ("::ffff:0:7f00:1", "loopback"),
    ],
)
def test_kinds(address: str, kind: str) -> None:
    assert kind_of(ip_address(address)) == kind


@given(st.integers(0, 2**32 - 1))
def test_all_spellings_of_an_address_are_that_address(value: int) -> None:
    address = IPv4Address(value)
    a, b, c, d = address.packed
    for host in (
        *(str(address), str(value), hex(value), f"0{value:o}", f"{a}.{value & 0xFFFFFF}"),
        *(f"{a}.{b}.{value & 0xFFFF}", f"0x{a:x}.0{b:o}.{c}.{d}", f"{address}."),
    ):
        assert address_of(host) == address


@given(st.text(alphabet="0123456789abcdefx.:%[]", max_size=40))
def test_a_host_is_an_address_a_name_or_refused_and_nothing_else(host: str) -> None:
    try:
        found = address_of(host)
    except EgressRefused:
        return
    # what is no address here must be none for the machine's resolver either
    if found is None:
        assert not host.rstrip(".").rpartition(".")[2].isdecimal()


@given(st.text(max_size=60))
def test_no_text_gets_past_the_reader_with_another_error(text: str) -> None:
    for url in (text, f"http://{text}", f"http://host/{text}"):
        try:
            read_url(url)
        except EgressRefused as refusal:
            assert refusal.rule == "valid_url"  # noqa: PT017
