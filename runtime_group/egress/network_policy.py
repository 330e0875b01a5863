"""The rules at work: which hop may be taken, and which address may be connected to.

Metadata services of clouds are refused always, with or without a policy: they hand out credentials
of the machine to whoever asks from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from typing import Final, Protocol, TypeAlias

import idna

from xworkflow.domain.network_policy import NetworkMode, NetworkPolicy
from xworkflow.runtime_group.egress.addresses import METADATA_HOSTS, Address, embedded, kind_of
from xworkflow.runtime_group.egress.refusal import EgressRefused
from xworkflow.runtime_group.egress.urls import address_of

MAX_REDIRECTS: Final = 10
"""Of a request that no policy bounds."""


_Range: TypeAlias = IPv4Network | IPv6Network


class EgressPolicy(Protocol):
    """Decides on each hop of a request. The methods raise EgressRefused; equal policies share
    connections."""

    @property
    def max_redirects(self) -> int: ...

    def check_url(self, scheme: str, host: str, port: int, *, user_info: bool = False) -> None:
        """Called before a request is sent or a redirect followed; no name is resolved yet."""
        ...

    def check_address(self, host: str, address: Address) -> None:
        """Called for each address that a name resolved to, right before connecting to it."""
        ...


@dataclass(frozen=True, slots=True)
class MetadataBlocked:
    """The policy of groups that have none: everything but metadata services."""

    @property
    def max_redirects(self) -> int:
        return MAX_REDIRECTS

    def check_url(self, scheme: str, host: str, port: int, *, user_info: bool = False) -> None:
        del scheme, port, user_info
        _check_metadata_name(host)
        address = address_of(host)
        if address is not None:
            self.check_address(host, address)

    def check_address(self, host: str, address: Address) -> None:
        if kind_of(address) == "metadata":
            raise _blocked(host, address, "metadata service", "block_metadata_endpoints")


@dataclass(frozen=True)
class NetworkGuard:
    """A group's policy at work."""

    policy: NetworkPolicy

    @property
    def max_redirects(self) -> int:
        return self.policy.max_redirects

    def check_url(self, scheme: str, host: str, port: int, *, user_info: bool = False) -> None:
        policy = self.policy
        if scheme not in policy.allowed_schemes:
            raise EgressRefused(f"Blocked scheme: {scheme}", rule="allowed_schemes", host=host)
        if policy.allowed_ports and port not in policy.allowed_ports:
            raise EgressRefused(f"Blocked port: {port}", rule="allowed_ports", host=host)
        if port in policy.denied_ports:
            raise EgressRefused(f"Blocked port: {port}", rule="denied_ports", host=host)
        if user_info and not policy.allow_user_info:
            text = f"Blocked URL: there is a user name before {host}"
            raise EgressRefused(text, rule="allow_user_info", host=host)
        _check_metadata_name(host)
        self._check_name(host)
        address = address_of(host)
        if address is not None:
            self.check_address(host, address)

    def check_address(self, host: str, address: Address) -> None:
        policy = self.policy
        kind = kind_of(address)
        if kind == "metadata":
            raise _blocked(host, address, "metadata service", "block_metadata_endpoints")
        if _within(address, self._denied_ranges):
            raise _blocked(host, address, "denied range", "denied_addresses")
        if kind == "public" or _within(address, self._allowed_ranges):
            return
        if kind == "loopback" and policy.block_loopback:
            raise _blocked(host, address, "this machine", "block_loopback")
        if kind == "private" and policy.block_private_ips:
            raise _blocked(host, address, "no public address", "block_private_ips")

    def _check_name(self, host: str) -> None:
        policy = self.policy
        name = _plain(host)
        if any(pattern.matches(name) for pattern in self._denied):
            raise EgressRefused(f"Domain denied: {host}", rule="denied_domains", host=host)
        if policy.mode is not NetworkMode.ALLOW_LIST:
            return
        if any(pattern.matches(name) for pattern in self._allowed):
            return
        address = address_of(host)
        if address is None or not _within(address, self._allowed_ranges):
            raise EgressRefused(f"Domain not allowed: {host}", rule="allowed_domains", host=host)

    @cached_property
    def _allowed(self) -> tuple[_Pattern, ...]:
        return tuple(map(_pattern, self.policy.allowed_domains))

    @cached_property
    def _denied(self) -> tuple[_Pattern, ...]:
        return tuple(map(_pattern, self.policy.denied_domains))

    @cached_property
    def _allowed_ranges(self) -> tuple[_Range, ...]:
        return tuple(map(ip_network, self.policy.allowed_addresses))

    @cached_property
    def _denied_ranges(self) -> tuple[_Range, ...]:
        return tuple(map(ip_network, self.policy.denied_addresses))


@dataclass(frozen=True, slots=True)
class _Pattern:
    name: str
    below: bool

    def matches(self, host: str) -> bool:
        return host == self.name or (self.below and host.endswith(f".{self.name}"))


def _pattern(drawn: str) -> _Pattern:
    below = drawn.startswith("*.")
    return _Pattern(_plain(drawn[2:] if below else drawn), below)


def _plain(host: str) -> str:
    """A name as it stands in a URL that was read: lower case, no dot at its end, ASCII."""
    name = host.lower().rstrip(".")
    if name.isascii():
        return name
    try:
        return idna.encode(name).decode("ascii")
    except idna.IDNAError:
        return name


def _check_metadata_name(host: str) -> None:
    if host.lower().rstrip(".") in METADATA_HOSTS:
        text = f"Blocked host: {host} is a metadata service"
        raise EgressRefused(text, rule="block_metadata_endpoints", host=host)


def _within(address: Address, ranges: tuple[_Range, ...]) -> bool:
    """Whether a range holds the address, or the IPv4 one that it carries."""
    forms = {address, embedded(address)}
    return any(
        form in network
        for form in forms
        for network in ranges
        if isinstance(form, IPv4Address) == isinstance(network, IPv4Network)
    )


def _blocked(host: str, address: Address, why: str, rule: str) -> EgressRefused:
    return EgressRefused(f"Blocked IP: {host} -> {address}, {why}", rule=rule, host=host)
