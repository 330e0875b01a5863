"""Where the requests of a group may go, as data (spec/runtime.md 6.3)."""

from __future__ import annotations

import re
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _range(text: str) -> str:
    """``10.1.2.3/8`` is the range around the address, as people write it."""
    return str(ip_network(text, strict=False))


AddressRange = Annotated[str, AfterValidator(_range)]
"""An address, or a range of them (CIDR)."""


def _name(drawn: str) -> str:
    """A pattern that matches nothing would be a rule that nobody misses until it is needed."""
    name = drawn.removeprefix("*.")
    if ":" in drawn and is_address(drawn):
        return str(ip_address(drawn))
    if not name.strip(".") or _NO_NAME.search(name):
        raise ValueError(f"'{drawn}' is no name of a host: write x.y, or *.x.y for all below it")
    return drawn


def is_address(text: str) -> bool:
    """Whether it is an IPv4 or IPv6 address as it is usually written."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


_NO_NAME = re.compile(r"[\s/*@:\\\[\]]")
DomainPattern = Annotated[str, AfterValidator(_name)]
"""``x.y``, or ``*.x.y`` for it and all below."""
Port = Annotated[int, Field(gt=0, lt=65_536)]


class NetworkMode(StrEnum):
    """Whether a name must be on the list of allowed ones. What is denied is refused in any mode."""

    ALLOW_ALL = "allow_all"
    ALLOW_LIST = "allow_list"
    DENY_LIST = "deny_list"


class NetworkPolicy(BaseModel):
    """The rules in the order in which they are asked: scheme, port, name, then every address.

    A domain is ``x.y`` (just that one) or ``*.x.y`` (it and all below). ``allowed_addresses`` opens
    ranges that ``block_private_ips`` and ``block_loopback`` close, and in ``allow_list`` mode
    allows addresses that a URL names; ``denied_*`` win over ``allowed_*``. No ports are any port.
    Metadata services and rebinding are refused whatever the policy says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: NetworkMode = NetworkMode.ALLOW_ALL
    allowed_domains: tuple[DomainPattern, ...] = ()
    denied_domains: tuple[DomainPattern, ...] = ()
    allowed_addresses: tuple[AddressRange, ...] = ()
    denied_addresses: tuple[AddressRange, ...] = ()
    block_private_ips: bool = True
    block_loopback: bool = True
    block_metadata_endpoints: Literal[True] = True
    dns_rebinding_protection: Literal[True] = True
    allowed_schemes: tuple[Literal["http", "https"], ...] = ("https", "http")
    allowed_ports: tuple[Port, ...] = (80, 443, 8080, 8443)
    denied_ports: tuple[Port, ...] = ()
    allow_user_info: bool = False
    """Whether a URL may hold ``user:password@``, which is how one host is made to look like
    another."""
    max_redirects: int = Field(default=3, ge=0)

    @classmethod
    def closed(cls) -> NetworkPolicy:
        """The strict level's: https to listed names only, and the list is still to be filled."""
        return cls(
            mode=NetworkMode.ALLOW_LIST,
            allowed_schemes=("https",),
            allowed_ports=(443,),
            max_redirects=0,
        )
