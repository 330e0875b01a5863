"""What an IP address is for: public, or one of the many kinds that a request must not reach.

The tables are written out (IANA's special-purpose registries) instead of asking ``is_global``,
whose answers differ between versions of Python. An IPv6 address that only carries an IPv4 one is
judged by the latter.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, Literal, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Kind: TypeAlias = Literal["metadata", "loopback", "private", "public"]

METADATA_HOSTS: Final = frozenset(
    {
        "metadata",
        "metadata.azure.internal",
        "api.metadata.cloud.ibm.com",
        "metadata.packet.net",
        "metadata.platformequinix.com",
        "rancher-metadata",
        "metadata.google.internal",
        "metadata.goog",
        "metadata.tencentyun.com",
        "instance-data",
        "instance-data.ec2.internal",
    }
)
METADATA_ADDRESSES: Final[frozenset[Address]] = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",  # AWS, Google, Azure and others
        "169.254.170.2",  # AWS, credentials of a container
        "169.254.170.23",  # AWS, credentials of a pod
        "168.63.129.16",  # Azure's wire server
        "169.254.0.23",  # Tencent
        "169.254.42.42",  # Scaleway
        "100.100.100.200",  # Alibaba
        "192.0.0.192",  # Oracle
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",  # Google
        "fd00:42::42",  # Scaleway
        "fd00:a9fe:a9fe::1",  # Akamai
        "fd00:c1::a9fe:a9fe",  # Oracle
        "fe80::a9fe:a9fe",  # OpenStack
    )
)

_LOOPBACK: Final = tuple(map(IPv4Network, ("127.0.0.0/8", "0.0.0.0/8")))
_SPECIAL: Final = tuple(
    map(
        IPv4Network,
        (
            "10.0.0.0/8",
            "100.64.0.0/10",  # behind a provider's NAT
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",  # and broadcast
        ),
    )
)
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_SPECIAL_V6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
            "2001:db8::/32",
            "2002::/16",  # 6to4: a tunnel to any IPv4 address
            "3fff::/20",
        ),
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
_OWN_NAT64: Final = IPv6Network("64:ff9b:1::/48")
_TRANSLATED: Final = IPv6Network("::ffff:0:0:0/96")
_COMPATIBLE: Final = IPv6Network("::/96")
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})


def kind_of(address: Address) -> Kind:
    """The kind of an address; of the IPv4 one inside, where it carries one."""
    inner = embedded(address)
    if inner in METADATA_ADDRESSES or address in METADATA_ADDRESSES:
        return "metadata"
    if isinstance(inner, IPv4Address):
        kind = _kind_of_v4(inner)
        # a tunnel is no way to the public internet, whatever is at its other end
        tunnel = isinstance(address, IPv6Address) and not _is_plain(address)
        return "private" if tunnel and kind == "public" else kind
    if inner.is_loopback or int(inner) == 0:
        return "loopback"
    special = inner not in _GLOBAL_UNICAST or any(inner in net for net in _SPECIAL_V6)
    return "private" if special else "public"


def embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 one leads to, else the address itself.

    Mapped, translated, compatible, NAT64 (the network's own prefix included), 6to4, Teredo, ISATAP.
    """
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    low = int(address) & 0xFFFFFFFF
    if address in _NAT64 or address in _TRANSLATED or (address in _COMPATIBLE and low > 1):
        return IPv4Address(low)
    if address in _OWN_NAT64:
        return _in_own_nat64(int(address), low)
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return IPv4Address(low)
    return address


def _in_own_nat64(whole: int, low: int) -> IPv4Address:
    """At the end (a prefix of 96 bits below), else as in a prefix of 48 bits, around bits 64 to 71
    (RFC 6052)."""
    around = ((whole >> 64) & 0xFFFF) << 16 | (whole >> 40) & 0xFFFF
    return IPv4Address(low or around)


def _kind_of_v4(address: IPv4Address) -> Kind:
    if any(address in net for net in _LOOPBACK):
        return "loopback"
    return "private" if any(address in net for net in _SPECIAL) else "public"


def _is_plain(address: IPv6Address) -> bool:
    """Whether it is an IPv4 address in the socket's own spelling, or behind the network's NAT64."""
    return address.ipv4_mapped is not None or address in _NAT64
