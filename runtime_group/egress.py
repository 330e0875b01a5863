"""Where requests may go. The client asks before each hop, and for each address it connects to.

Metadata services of clouds are refused always, with or without a policy: they hand out credentials
of the machine to whoever asks from it (spec/runtime.md 6.3).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final, Protocol, TypeAlias

from xworkflow.errors import NodeError

Address: TypeAlias = IPv4Address | IPv6Address

METADATA_HOSTS: Final = frozenset({"metadata.google.internal", "metadata.goog"})
METADATA_ADDRESSES: Final[frozenset[Address]] = frozenset(
    ip_address(text)
    for text in ("169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254")
)
_NAT64: Final = IPv6Network("64:ff9b::/96")


class EgressPolicy(Protocol):
    """Decides on each hop of a request. Both methods raise NodeError to refuse."""

    def check_url(self, scheme: str, host: str, port: int) -> None:
        """Called before a request is sent or a redirect followed; nothing is resolved yet."""
        ...

    def check_address(self, host: str, address: Address) -> None:
        """Called for each address that a name resolved to, right before connecting to it."""
        ...


class MetadataBlocked:
    """The policy of groups that have none: everything but metadata services."""

    def check_url(self, scheme: str, host: str, port: int) -> None:
        del scheme, port
        if host.lower().rstrip(".") in METADATA_HOSTS:
            raise refused(f"Blocked host: {host}")

    def check_address(self, host: str, address: Address) -> None:
        if embedded(address) in METADATA_ADDRESSES:
            raise refused(f"Blocked IP: {host} -> {address}")


def refused(reason: str) -> NodeError:
    """The error of a refusal: the input's fault, so never retried (spec/runtime.md 4.2)."""
    return NodeError.of_kind("input_validation_error", reason)


def embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 one leads to (mapped, 6to4, NAT64), else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
