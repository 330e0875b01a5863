"""Reading URLs so that nobody reads another host in them than the one that is connected to.

What clients are known to read in different ways (backslashes, escapes in a host, short and octal
IPv4 addresses, zone ids) is refused, or brought into its one plain form, before anything else sees
it.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final

import httpx

from xworkflow.runtime_group.egress.addresses import Address
from xworkflow.runtime_group.egress.refusal import invalid_url

PORTS: Final = {"http": 80, "https": 443}

_AUTHORITY: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")
_HOST: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
_MAX_HOST: Final = 253
_MAX_URL: Final = 65_536


def read_url(text: str) -> httpx.URL:
    """The URL, with an IPv4 address in plain form. Raises EgressRefused: invalid or ambiguous."""
    if len(text) > _MAX_URL:
        raise invalid_url(f"it is longer than {_MAX_URL} characters")
    authority = _AUTHORITY.match(text)
    if authority is not None and re.search(r"[\\\s]", authority[1]):
        raise invalid_url("there is a backslash or a space in its host")
    try:
        url = httpx.URL(text)
        host, port = url.host, url.port
    except (httpx.InvalidURL, UnicodeError) as error:
        raise invalid_url(str(error)) from None
    if url.scheme not in PORTS:
        raise invalid_url(f"the scheme must be http or https, not '{url.scheme}'")
    if not host:
        raise invalid_url("it names no host")
    if port is not None and not 0 < port < 65536:  # noqa: PLR2004
        raise invalid_url(f"there is no port {port}")
    address = address_of(host)
    if address is not None:
        return url.copy_with(host=str(address))
    _check_name(url.raw_host.decode("ascii"))
    return url


def port_of(url: httpx.URL) -> int:
    return url.port or PORTS[url.scheme]


def origin(url: httpx.URL) -> str:
    """What of a URL may be told: path and query can hold secrets."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def address_of(host: str) -> Address | None:
    """The address that a host spells, None for a name. Raises EgressRefused for a broken one.

    As browsers and C libraries do it: ``127.1``, ``0x7f.1``, ``017700000001`` and ``2130706433``
    are 127.0.0.1, and what ends in a number is never a name.
    """
    if ":" in host:
        return _v6(host)
    parts = host.rstrip(".").split(".")
    if not _NUMBER.fullmatch(parts[-1]):
        return None
    return _v4(host, parts)


def _v6(host: str) -> Address:
    if "%" in host:
        raise invalid_url("an address with a zone is no address of the internet")
    try:
        return IPv6Address(host)
    except ValueError:
        raise invalid_url(f"'{host}' is no IPv6 address") from None


def _v4(host: str, parts: list[str]) -> Address:
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):  # noqa: PLR2004
        raise invalid_url(f"'{host}' ends in a number and is no IPv4 address")
    try:
        numbers = [_number(part) for part in parts]
    except ValueError:
        raise invalid_url(f"'{host}' is no IPv4 address") from None
    *first, last = numbers
    if any(number > 255 for number in first) or last >= 256 ** (5 - len(numbers)):  # noqa: PLR2004
        raise invalid_url(f"'{host}' is no IPv4 address")
    value = last
    for index, number in enumerate(first):
        value += number << (8 * (3 - index))
    return IPv4Address(value)


def _number(part: str) -> int:
    """Hexadecimal, octal or decimal; at most 32 bits can matter, and few digits spell them."""
    if len(part) > 40:  # noqa: PLR2004
        raise ValueError(part)
    if part[:2].lower() == "0x":
        return int(part[2:] or "0", 16)
    return int(part, 8) if part[0] == "0" and len(part) > 1 else int(part)


def _check_name(host: str) -> None:
    if len(host) > _MAX_HOST or not _HOST.fullmatch(host):
        raise invalid_url("its host has characters or a length that no name has")
